"""Shards as tar files: writing and reading the one form of USTAR that this format uses.

Every header depends only on the file's name and size: it says a regular file of mode 0644 with owner and time zero
(POSIX.1 "ustar Interchange Format"). So equal files give equal bytes, and a header is checked by writing it again.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two blocks of zeros end a tar."""

MAX_NAME_SIZE = 100
"""Most characters of a file's name."""

MAX_FILE_SIZE = 256 * 2**20
"""Most bytes of a file in a shard. No crop or sidecar comes near it, and a reader must not trust a header that says
more."""

WRITE_BYTES = 2**18
"""Bytes that are gathered before a write, because writing and hashing each file by itself would cost more than the
copy."""

_ZEROS = bytes(BLOCK)
_PADDINGS = [bytes(size) for size in range(BLOCK)]
# name 100, mode 8, owner 8, group 8 | size 12 | time 12 | checksum 8 | type 1, link 100, magic 8, names 64, device 16,
# prefix 155, unused 12
_HEADER = struct.Struct("100s24s12s12s8s356s")
_OWNER = b"0000644\0" + b"0000000\0" * 2
_TIME = b"00000000000\0"
_REST = b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + b"0000000\0" * 2 + bytes(167)
_CHECKSUM_OF_CONSTANTS = sum(_OWNER) + sum(_TIME) + sum(_REST) + 8 * ord(" ")
_BLANK = np.frombuffer(_HEADER.pack(b"", _OWNER, b"", _TIME, b"000000\0 ", _REST), np.uint8)
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 135), slice(148, 154)


class Output(Protocol):
    """Something to which bytes can be appended."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append ``data``."""


class Input(Protocol):
    """Something from which bytes can be read in order."""

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes, or fewer at the end."""


@dataclass(frozen=True, slots=True)
class TarFile:
    """A file that was read from a tar: its name, its bytes, and where in the tar these begin."""

    name: str
    offset: int
    data: bytes


def tar_header(name: str, size: int) -> bytes:
    """Return the 512 bytes before a file's data.

    Raises:
        SpecError: The name is not 1 to 100 bytes of ASCII, or the size is negative or over ``MAX_FILE_SIZE``.
    """
    if not (0 < len(name) <= MAX_NAME_SIZE and name.isascii()):
        raise SpecError(f"{name!r} is no name of a file: it must be 1 to {MAX_NAME_SIZE} ASCII characters")
    if not 0 <= size <= MAX_FILE_SIZE:
        raise SpecError(f"{name}: {size} bytes, but a file has at most {MAX_FILE_SIZE}")
    raw_name = name.encode("ascii")
    raw_size = b"%011o\0" % size
    checksum = _CHECKSUM_OF_CONSTANTS + sum(raw_name) + sum(raw_size)
    return _HEADER.pack(raw_name, _OWNER, raw_size, _TIME, b"%06o\0 " % checksum, _REST)


def tar_headers(names: Sequence[str], sizes: npt.NDArray[np.int64]) -> list[bytes]:
    """Return the headers of many files, each as ``tar_header`` returns it, in a fraction of the time.

    Args:
        names: Names of the files.
        sizes: Their sizes in bytes, ``[files]``.

    Raises:
        SpecError: As ``tar_header`` raises it for the first file that does not fit.
    """
    lengths = np.fromiter(map(len, names), np.int64, len(names))
    fit = (lengths > 0) & (lengths <= MAX_NAME_SIZE) & (sizes >= 0) & (sizes <= MAX_FILE_SIZE)
    if not (fit.all() and "".join(names).isascii()):
        return [tar_header(name, size) for name, size in zip(names, sizes.tolist(), strict=True)]
    headers = np.empty((len(names), BLOCK), np.uint8)
    headers[:] = _BLANK
    headers[:, _NAME] = np.array(names, f"S{MAX_NAME_SIZE}").view(np.uint8).reshape(-1, MAX_NAME_SIZE)
    headers[:, _SIZE] = _octal(sizes, 11)
    sums = headers[:, _NAME].sum(axis=1, dtype=np.int64) + headers[:, _SIZE].sum(axis=1, dtype=np.int64)
    headers[:, _CHECKSUM] = _octal(_CHECKSUM_OF_CONSTANTS + sums, 6)
    return headers.view(f"V{BLOCK}").ravel().tolist()


def _octal(values: npt.NDArray[np.int64], digits: int) -> npt.NDArray[np.int64]:
    """Return the octal digits of numbers as ASCII codes, ``[values, digits]``."""
    return (values[:, None] >> 3 * np.arange(digits - 1, -1, -1) & 7) + ord("0")


class TarWriter:
    """Appends files to an output, many in one write, and knows where each file's data begins."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pending: list[bytes] = []
        self._written = 0
        self.size = 0
        """Bytes of the tar so far, whether already written or only gathered."""

    def add(self, name: str, data: bytes) -> int:
        """Append a file; return the offset of its data."""
        return int(self.add_files([name], [data])[0])

    def add_files(self, names: Sequence[str], files: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Append files; return the offset of each one's data, ``[files]``. Many together take a third of the time."""
        sizes = np.fromiter(map(len, files), np.int64, len(files))
        paddings = -sizes % BLOCK
        taken = BLOCK + sizes + paddings
        ends = self.size + np.cumsum(taken)
        pieces = [b""] * (3 * len(files))
        pieces[0::3] = tar_headers(names, sizes)
        pieces[1::3] = files
        pieces[2::3] = map(_PADDINGS.__getitem__, paddings.tolist())
        self._pending += pieces
        self.size += int(taken.sum())
        if self.size - self._written >= WRITE_BYTES:
            self.flush()
        return ends - paddings - sizes

    def finish(self) -> None:
        """End the tar."""
        self._pending.append(END)
        self.size += len(END)
        self.flush()

    def flush(self) -> None:
        """Write what has only been gathered."""
        self._output.write(b"".join(self._pending))
        self._pending.clear()
        self._written = self.size


def read_tar(source: Input) -> Iterator[TarFile]:
    """Yield the files of a tar that ``TarWriter`` wrote, in order, with one in memory at a time.

    Raises:
        SpecError: Any byte differs from what ``TarWriter`` writes for these files, or the tar continues after its end.
    """
    position = 0
    while True:
        header = _read(source, BLOCK, position)
        if header == _ZEROS:
            rest = source.read(BLOCK + 1)
            if rest != _ZEROS:
                raise SpecError(f"byte {position}: a tar ends with two blocks of zeros and nothing behind them")
            return
        name, _, raw_size, _, _, _ = _HEADER.unpack(header)
        try:
            text = name.rstrip(b"\0").decode("ascii")
            size = int(raw_size.rstrip(b"\0"), 8)
            expected = tar_header(text, size)
        except (ValueError, SpecError) as error:
            raise SpecError(f"byte {position}: damaged tar header: {error}") from error
        if header != expected:
            raise SpecError(f"byte {position}: the tar header of {text!r} is not of this format's form")
        position += BLOCK
        data = _read(source, size, position)
        if _read(source, -size % BLOCK, position + size).strip(b"\0"):
            raise SpecError(f"byte {position + size}: padding that is not zero behind {text!r}")
        yield TarFile(text, position, data)
        position += size + -size % BLOCK


def _read(source: Input, size: int, position: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise SpecError(f"the tar ends at byte {position + len(data)}, inside a file")
    return data
