"""Header blocks of tar archives, decoded many at a time.

The formats are POSIX.1's ustar and pax Interchange Formats and GNU tar's ("Basic Tar Format" in its manual). They share
the layout of the fields that are read here.
"""

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = 512
"""Bytes of a header. A header begins at a multiple of this size, and an entry's content is padded to one."""

_HEADER = np.dtype(
    {
        "names": ["name", "digits", "checksum", "type", "magic", "magic_end", "ustar_end", "prefix"],
        "formats": ["S100", ("u1", 12), ("u1", 8), "u1", "<u4", "u1", "u1", "S155"],
        "offsets": [0, 124, 148, 156, 257, 261, 262, 345],
        "itemsize": BLOCK,
    }
)
_MAGIC = int.from_bytes(b"usta", "little")
_MAGIC_END = ord("r")
_CHECKSUM = slice(148, 156)
_SIZE = slice(124, 136)
_LARGEST_SIZE = 1 << 62  # so that adding an offset and a header to it cannot overflow 64 bits
_OCTAL_11 = 8 ** np.arange(10, -1, -1, dtype=np.int64)
_OCTAL_6 = 8 ** np.arange(5, -1, -1, dtype=np.int64)
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_OCTAL = re.compile(rb" *+([0-7]*+)(?:[ \0].*)?", re.DOTALL)

CONTENT_FOLLOWS = np.ones(256, np.bool_)
"""By type: whether the header's size counts bytes that follow it. Links, devices, folders and pipes have no content,
whatever their size says."""
CONTENT_FOLLOWS[list(b"123456")] = False

REGULAR = np.zeros(256, np.bool_)
"""By type: whether the entry is a plain file: ``0``, NUL (before POSIX) and ``7`` (contiguous)."""
REGULAR[list(b"0\x007")] = True

Blocks = npt.NDArray[np.uint8]
"""Header blocks, ``[headers, 512]``."""


class Headers(NamedTuple):
    """Header blocks as columns, ``[headers]``."""

    valid: npt.NDArray[np.bool_]
    """Whether checksum and size are in the plain form that nearly all headers have. Others may be valid as well:
    ``decode_header`` says so."""
    types: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.int64]
    """Bytes of content that follow, where the header is valid."""


class Header(NamedTuple):
    """One header block."""

    type: int
    size: int
    """Bytes of content that follow."""
    name: bytes
    """The full name."""


class BadHeaderError(ValueError):
    """A block is not a header that can be read. The message says why."""


def find_magic(blocks: Blocks) -> npt.NDArray[np.intp]:
    """Return which blocks have the magic ``ustar``, as nearly all headers do, and other data hardly ever."""
    fields = _fields(blocks)
    return np.flatnonzero((fields["magic"] == _MAGIC) & (fields["magic_end"] == _MAGIC_END))


def decode_headers(blocks: Blocks) -> Headers:
    """Decode header blocks, which must lie contiguously in memory."""
    fields = _fields(blocks)
    size_digits = fields["digits"][:, :11] - np.uint8(ord("0"))
    sum_digits = fields["checksum"][:, :6] - np.uint8(ord("0"))
    is_plain = (size_digits < 8).all(axis=1) & (sum_digits < 8).all(axis=1)
    is_plain &= (fields["digits"][:, 11] & ~np.uint8(ord(" "))) == 0  # NUL or a space ends the number
    is_plain &= (fields["checksum"][:, 6] & ~np.uint8(ord(" "))) == 0
    types = fields["type"].copy()
    sizes = np.where(CONTENT_FOLLOWS[types], size_digits @ _OCTAL_11, 0)
    return Headers(is_plain & (sum_digits @ _OCTAL_6 == _checksums(blocks)), types, sizes)


def decode_header(block: bytes) -> Header:
    """Decode one header block in any of the forms that archivers write.

    Raises:
        BadHeaderError: The checksum is wrong, or the size is no number from 0 to 2**62.
    """
    unsigned = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    signed = unsigned - 256 * sum(byte >> 7 for byte in block[:148] + block[156:])  # some old archivers added so
    if _number(block[_CHECKSUM]) not in {unsigned, signed}:
        raise BadHeaderError("no header with a right checksum stands there")
    kind = block[156]
    size = _number(block[_SIZE]) if CONTENT_FOLLOWS[kind] else 0
    if size is None or not 0 <= size <= _LARGEST_SIZE:
        raise BadHeaderError(f"its header's size is {block[_SIZE]!r}")
    name = block[:100].split(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0")[0] + b"/" + name
    return Header(kind, size, name)


def decode_names(blocks: Blocks) -> Any:
    """Return the full names in header blocks as a binary array."""
    fields = _fields(blocks)
    names = pa.array(fields["name"], pa.binary())  # a name ends at its first NUL, here as in NumPy's strings
    has_prefix = (fields["ustar_end"] == 0) & (fields["prefix"] != b"")  # GNU's magic has a space there, and no prefix
    if not has_prefix.any():
        return names
    long_names = pc.binary_join_element_wise(pa.array(fields["prefix"], pa.binary()), names, pa.scalar(b"/"))
    return pc.if_else(pa.array(has_prefix), long_names, names)


def padded(size: Any) -> Any:
    """Return the bytes that content of this size takes in a tar. The argument is an integer or an array of them."""
    return (size + (BLOCK - 1)) & ~(BLOCK - 1)


def _fields(blocks: Blocks) -> npt.NDArray[Any]:
    return blocks.view(_HEADER)[:, 0]


def _checksums(blocks: Blocks) -> npt.NDArray[np.uint64]:
    """Return the sum of each block's bytes, with those of the checksum itself taken for spaces."""
    words = blocks.view("<u8")
    # Four sums of 16 bits at a time: 64 words of two times 255 stay below 65,536.
    sums = ((words & _EVEN_BYTES) + ((words >> np.uint64(8)) & _EVEN_BYTES)).sum(axis=1)
    lanes = sums.view("<u2").reshape(-1, 4).sum(axis=1, dtype=np.uint64)
    own = blocks[:, _CHECKSUM].sum(axis=1, dtype=np.uint64)
    return np.asarray(lanes - own + np.uint64(8 * ord(" ")))


def _number(field: bytes) -> int | None:
    """Return a field's number: octal digits, or base 256 where the first bit is set (GNU); None if it is neither."""
    if field[0] & 0x80:
        value = int.from_bytes(field) - (1 << 8 * len(field) - 1)
        return value - (1 << 8 * len(field) - 1) if field[0] & 0x40 else value
    match = _OCTAL.fullmatch(field)
    return int(match[1] or b"0", 8) if match else None
