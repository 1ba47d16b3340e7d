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
        "names": ["name", "size", "size_end", "checksum", "type", "magic", "magic_end", "ustar_end", "prefix"],
        "formats": ["S100", "<u8", "<u4", "<u8", "u1", "<u4", "u1", "u1", "S155"],
        "offsets": [0, 124, 132, 148, 156, 257, 261, 262, 345],
        "itemsize": BLOCK,
    }
)
_MAGIC = int.from_bytes(b"usta", "little")
_MAGIC_END = ord("r")
_CHECKSUM = slice(148, 156)
_SIZE = slice(124, 136)
_LARGEST_SIZE = 1 << 62  # so that adding an offset and a header to it cannot overflow 64 bits
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_NOT_OCTAL = np.uint64(0xF8F8F8F8F8F8F8F8)  # bits that are equal in all octal digits
_ZEROS = np.uint64(0x3030303030303030)
_OCTAL = re.compile(rb" *+([0-7]*+)(?:[ \0].*)?", re.DOTALL)

CONTENT_FOLLOWS = np.ones(256, np.bool_)
"""By type: whether the header's size counts bytes that follow it. Links, devices, folders and pipes have no content,
whatever their size says."""
CONTENT_FOLLOWS[list(b"123456")] = False

REGULAR = np.zeros(256, np.bool_)
"""By type: whether the entry is a plain file: ``0``, NUL (before POSIX) and ``7`` (contiguous)."""
REGULAR[list(b"0\x007")] = True

_Words = npt.NDArray[np.uint64]

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


class BadHeaderError(ValueError):
    """A block is not a header that can be read. The message says why."""


def find_magic(blocks: Blocks) -> npt.NDArray[np.intp]:
    """Return which blocks have the magic ``ustar``, as nearly all headers do, and other data hardly ever."""
    fields = _fields(blocks)
    return np.flatnonzero((fields["magic"] == _MAGIC) & (fields["magic_end"] == _MAGIC_END))


def decode_headers(blocks: Blocks) -> Headers:
    """Decode header blocks, which must lie contiguously in memory."""
    fields = _fields(blocks)
    upper, is_upper_plain = _octal(fields["size"].copy())
    lower, is_lower_plain = _octal_before_end(fields["size_end"].astype(np.uint64), 3)
    stated, is_stated_plain = _octal_before_end(fields["checksum"].copy(), 6)
    types = fields["type"].copy()
    sizes = np.where(CONTENT_FOLLOWS[types], (upper << np.uint64(9) | lower).astype(np.int64), 0)
    is_plain = is_upper_plain & is_lower_plain & is_stated_plain
    return Headers(is_plain & (stated == _checksums(blocks)), types, sizes)


def decode_header(block: bytes) -> Header:
    """Decode one header block in any of the forms that archivers write.

    Raises:
        BadHeaderError: The checksum is wrong, or the size is no number from 0 to 2**62.
    """
    stated = _number(block[_CHECKSUM])
    unsigned = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    if stated != unsigned:
        signed = unsigned - 256 * sum(byte >> 7 for byte in block[:148] + block[156:])  # some old archivers added so
        if stated != signed:
            raise BadHeaderError("no header with a right checksum stands there")
    kind = block[156]
    size = _number(block[_SIZE]) if CONTENT_FOLLOWS[kind] else 0
    if size is None or not 0 <= size <= _LARGEST_SIZE:
        raise BadHeaderError(f"its header's size is {block[_SIZE]!r}")
    return Header(kind, size)


def decode_name(block: bytes) -> bytes:
    """Return the full name in a header block."""
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return name


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
    # Four sums of 16 bits at a time: 64 words of two times 255 stay below 65,536.
    sums = _sums_of_pairs(blocks.view("<u8")).sum(axis=1) - _sums_of_pairs(_fields(blocks)["checksum"])
    whole = (sums & np.uint64(0xFFFF)) + (sums >> np.uint64(16) & np.uint64(0xFFFF))
    whole += (sums >> np.uint64(32) & np.uint64(0xFFFF)) + (sums >> np.uint64(48))
    return np.asarray(whole + np.uint64(8 * ord(" ")))


def _sums_of_pairs(words: _Words) -> _Words:
    return np.asarray((words & _EVEN_BYTES) + (words >> np.uint64(8) & _EVEN_BYTES))


def _octal(words: _Words) -> tuple[_Words, npt.NDArray[np.bool_]]:
    """Return the numbers that eight octal digits make, of which the first is the lowest byte, and whether they do."""
    digits = words & np.uint64(0x0707070707070707)
    pairs = (digits << np.uint64(3)) + (digits >> np.uint64(8)) & _EVEN_BYTES
    fours = (pairs << np.uint64(6)) + (pairs >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    numbers = (fours << np.uint64(12)) + (fours >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
    return numbers, (words & _NOT_OCTAL) == _ZEROS


def _octal_before_end(words: _Words, digits: int) -> tuple[_Words, npt.NDArray[np.bool_]]:
    """Do the same for the words' first ``digits`` bytes, which a NUL or a space must end."""
    ended = (words >> np.uint64(8 * digits) & np.uint64(0xFF & ~ord(" "))) == 0
    missing = np.uint64(64 - 8 * digits)
    numbers, are_octal = _octal(words << missing | _ZEROS >> (np.uint64(64) - missing))
    return numbers, ended & are_octal


def _number(field: bytes) -> int | None:
    """Return a field's number: octal digits, or base 256 where the first bit is set (GNU); None if it is neither."""
    if field[0] & 0x80:
        value = int.from_bytes(field) - (1 << 8 * len(field) - 1)
        return value - (1 << 8 * len(field) - 1) if field[0] & 0x40 else value
    match = _OCTAL.fullmatch(field)
    return int(match[1] or b"0", 8) if match else None
