"""Images of a few kilobytes that ask for hours of work or gigabytes of memory, and pieces to make such from."""

import struct
import zlib
from collections.abc import Sequence

SOF0, SOF2, SOF9 = 0xC0, 0xC2, 0xC9


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def frame_header(size: tuple[int, int], components: int = 1, marker: int = SOF2) -> bytes:
    """The SOF segment of a JPEG without subsampling."""
    parts = [bytes([number, 0x11, 0]) for number in range(1, components + 1)]
    return segment(marker, b"\x08" + struct.pack(">HH", size[1], size[0]) + bytes([components]) + b"".join(parts))


def scan_header(components: Sequence[int], first: int = 0, last: int = 63) -> bytes:
    """The SOS segment of a scan of coefficients ``first`` to ``last``."""
    parts = [bytes([component, 0]) for component in components]
    return segment(0xDA, bytes([len(parts)]) + b"".join(parts) + bytes([first, last, 0]))


def tables() -> bytes:
    """A quantisation table, a DC code of one bit for no difference, and an AC code of one bit for a run of EOBs."""
    one_code = bytes([1, *[0] * 15])
    return segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC4, b"\0" + one_code + b"\0\x10" + one_code + b"\xe0")


def many_scans(scans: int, size: tuple[int, int], marker: int = SOF2) -> bytes:
    """A gray or, if it is not progressive, three-component JPEG of that many scans, of ten bytes each.

    Each scan makes the decoder go over all blocks. What follows the first one, or the last of the others, is grey.
    """
    components = 1 if marker == SOF2 else 3
    data = b"\xff\xd8" + tables() + frame_header(size, components, marker)
    if marker == SOF2:
        blocks = -(-size[0] // 8) * -(-size[1] // 8)
        run = ("0" + "0" * 14) * (blocks // 16384 + 1)  # each of 16,384 blocks without a coefficient
        bits = run + "1" * (-len(run) % 8)
        data += scan_header([1], 0, 0) + bytes((blocks + 7) // 8)
        data += (scan_header([1], 1, 63) + int(bits, 2).to_bytes(len(bits) // 8)) * (scans - 1)
    else:
        data += scan_header([1]) * (scans - 2) + scan_header([2]) + scan_header([3])
    return data + b"\xff\xd9"


def second_frame_header(data: bytes, size: tuple[int, int]) -> bytes:
    """A JPEG with one more frame header, which claims ``size``, before its first scan."""
    scan = data.index(b"\xff\xda")
    return data[:scan] + frame_header(size, 3) + data[scan:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size: tuple[int, int], rows: bytes, before: bytes = b"", *, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says ``size``, with chunks before its image data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
