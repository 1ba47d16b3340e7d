"""The demo's tars, whose bytes depend on nothing but what is written."""

import io
import tarfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

WRITTEN_ON = 1_586_000_000
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
_SIZE_FIELD = slice(124, 136)
_CHECKSUM_FIELD = slice(148, 156)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a tar.

    Attributes:
        name: The entry's name.
        content: The bytes of a file.
        kind: The type flag of tar: a regular file, a folder, a hard or symbolic link, a sparse file.
        target: What a link leads to.
        base_256: Whether the size stands in the header as a binary number, as GNU tar writes it from 8 GiB on.
        headers: Records of a PAX header to write before the entry.
    """

    name: str
    content: bytes = field(default=b"", repr=False)
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    base_256: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class TarFile:
    """Writes a tar in GNU's format, or in PAX's.

    Args:
        path: The file.
        pax: Records of a global PAX header; the tar is then in PAX's format. None for GNU's.
    """

    def __init__(self, path: Path, pax: dict[str, str] | None = None) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._format: Literal[1, 2] = 1 if pax is None else 2  # GNU_FORMAT, PAX_FORMAT
        if pax:
            self._file.write(tarfile.TarInfo.create_pax_global_header(pax))

    def write(self, entry: Entry) -> None:
        """Append an entry."""
        info = tarfile.TarInfo(entry.name)
        info.type, info.linkname, info.size = entry.kind, entry.target, len(entry.content)
        info.mode = _FOLDER_MODE if entry.kind == tarfile.DIRTYPE else _FILE_MODE
        info.mtime, info.uid, info.gid, info.uname, info.gname = WRITTEN_ON, 1000, 1000, "sysu", "sysu"
        info.pax_headers = dict(entry.headers)
        header = info.tobuf(self._format)
        if entry.base_256:
            header = header[: -tarfile.BLOCKSIZE] + _with_binary_size(header[-tarfile.BLOCKSIZE :], len(entry.content))
        self._file.write(header)
        self._file.write(entry.content)
        self._file.write(bytes(-len(entry.content) % tarfile.BLOCKSIZE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))
        self._file.close()


def _with_binary_size(header: bytes, size: int) -> bytes:
    block = bytearray(header)
    block[_SIZE_FIELD] = b"\x80" + size.to_bytes(11)
    block[_CHECKSUM_FIELD] = b" " * 8
    block[_CHECKSUM_FIELD] = b"%06o\0 " % sum(block)
    return bytes(block)


def small_tar(entries: list[Entry]) -> bytes:
    """Return a whole tar as bytes, to be hidden inside an image."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.size = len(entry.content)
            archive.addfile(info, io.BytesIO(entry.content))
    return stream.getvalue()


def split_file(path: Path, parts: list[Path]) -> None:
    """Cut a file into pieces of nearly equal size, none of which but the first begins with a header.

    Args:
        path: The file, which is removed.
        parts: Paths of the pieces.
    """
    data = path.read_bytes()
    cuts = [len(data) * number // len(parts) for number in range(len(parts) + 1)]
    for part, (start, end) in zip(parts, pairwise(cuts), strict=True):
        part.write_bytes(data[start:end])
    path.unlink()
