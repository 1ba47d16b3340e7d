"""Small tar archives, and what is read of them."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from pipeline.archives import (
    EntryKind,
    TarSurvey,
    find_tars,
    join_paths,
    natural_key,
    read_entries,
    survey_tar,
    tar_request,
)
from shards_spec.storage import LocalStore

BLOCK = 512
Files = Iterable[tuple[str, bytes]]


def make_tar(files: Files, form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar as Python writes it. Its size is a multiple of 10,240 bytes."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return output.getvalue()


def header(name: bytes = b"a.jpg", size: int | bytes = 0, kind: bytes = b"0", magic: bytes = b"ustar\00000") -> bytes:
    """A header block. A size given in bytes is its field as it stands."""
    field = b"%011o\0" % size if isinstance(size, int) else size
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field + b"0" * 11 + b"\0" + b" " * 8 + kind
    return sign(block.ljust(257, b"\0") + magic.ljust(255, b"\0"))


def sign(block: bytes) -> bytes:
    """The block with the right checksum."""
    blank = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(blank) + block[156:]


def content(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def extended(records: bytes, kind: bytes = b"x") -> bytes:
    """An extended header with these records."""
    return header(b"PaxHeader", len(records), kind) + content(records)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def survey(folder: Path, *paths: str, ranges: list[tuple[int, int]] | None = None) -> TarSurvey:
    """The survey of the one archive that the files are."""
    store = LocalStore(folder)
    (stream,) = find_tars(store, sorted(paths or ["a.tar"], key=natural_key))
    return survey_tar(store, stream, ranges)


def survey_bytes(folder: Path, data: bytes) -> TarSurvey:
    (folder / "a.tar").write_bytes(data)
    return survey(folder)


def paths_of(found: TarSurvey) -> list[str]:
    return [str(path) for path in join_paths(found.entries).to_pylist()]


def contents_of(folder: Path, found: TarSurvey) -> list[tuple[str, bytes]]:
    """Paths and contents of the archive's plain files, in its order, as ``read_entries`` gives them."""
    rows = found.entries.append_column("path", join_paths(found.entries)).to_pylist()
    files = [row for row in rows if row["kind"] == EntryKind.FILE]
    columns = ("offset", "header_size", "size", "header_crc32")
    requests = [tar_request(found.stream, *(row[name] for name in columns)) for row in files]
    read = dict(read_entries(LocalStore(folder), requests))
    contents = []
    for position, row in enumerate(files):
        data = read[position]
        assert isinstance(data, bytes)
        contents.append((row["path"], data))
    return contents
