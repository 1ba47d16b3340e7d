"""An entry of a zip archive: its local header and its data, checked against the directory.

Section numbers are those of PKWARE's APPNOTE.TXT 6.3.10, the description of the zip format.
"""

import struct
from typing import NamedTuple

from zlib_ng import zlib_ng

from pipeline.archives.request import MAX_ENTRY_SIZE, DamagedEntryError, EntryFault, FileRange
from pipeline.archives.zip.directory import LOCAL_HEADER_SIZE, UTF8_FLAG, decode_name
from pipeline.archives.zip.support import DEFLATED, STORED
from shards_spec.rejects import RejectReason

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # 4.3.7: a local header before its name
_LOCAL_SIGNATURE = b"PK\x03\x04"
_LARGEST_NAME_AND_EXTRA = 2 * 0xFFFF
_RAW_DEFLATE = -zlib_ng.MAX_WBITS  # no zlib header around the data


class ZipRequest(NamedTuple):
    """An entry of a zip archive to read, as the directory describes it (columns of ``ZipDirectory.entries``).

    See ``EntryRequest`` for the methods. The entry is taken only if its local header, size and CRC-32 are what the
    directory says.
    """

    archive: str
    """Path of the archive in its store."""
    name: str
    offset: int
    extent: int
    compressed_size: int
    size: int
    crc32: int
    method: int

    def limit(self) -> int:
        """Return the largest size in bytes, packed or unpacked, that is read."""
        return MAX_ENTRY_SIZE

    @property
    def continued(self) -> tuple[FileRange, ...]:
        """Return nothing: split archives are refused."""
        return ()

    def range_size(self) -> int:
        """Return the bytes to read from the local header on: the extent without what may lie unused at its end."""
        if self.refuse() is not None:
            return 0
        return min(self.extent, LOCAL_HEADER_SIZE + _LARGEST_NAME_AND_EXTRA + self.compressed_size)

    def refuse(self) -> EntryFault | None:
        """Return what the directory alone shows to be wrong with the entry; None if nothing is."""
        largest = max(self.size, self.compressed_size)
        if largest > self.limit():
            detail = f"the entry takes {largest} bytes: at most {self.limit()} are taken"
            return EntryFault(RejectReason.IMAGE_TOO_LARGE, detail)
        if self.method not in {STORED, DEFLATED}:
            detail = f"the entry is packed by method {self.method}: only stored (0) and deflated (8) are taken"
            return EntryFault(RejectReason.IMAGE_UNSUPPORTED, detail)
        least = LOCAL_HEADER_SIZE + self.compressed_size
        if least > self.extent:
            detail = f"the entry takes {least} bytes or more, but {self.extent} bytes on another one begins"
            return EntryFault(RejectReason.IMAGE_DAMAGED, detail)
        return None

    def used_bytes(self) -> int:
        """Return the number of bytes that the packed content takes."""
        return self.compressed_size

    def unpack(self, data: memoryview) -> bytes:
        """Return the entry's content; raise ``DamagedEntryError`` unless it is what the directory says."""
        start = _find_data(self, data)
        packed = data[start : start + self.compressed_size]
        content = _inflate(packed, self.size) if self.method == DEFLATED else bytes(packed)
        if len(content) != self.size:
            raise DamagedEntryError(f"the entry holds {len(content)} bytes, but the directory says {self.size}")
        crc32 = zlib_ng.crc32(content)
        if crc32 != self.crc32:
            raise DamagedEntryError(f"the entry's CRC-32 is {crc32:08x}, but the directory says {self.crc32:08x}")
        return content


def _find_data(request: ZipRequest, data: memoryview) -> int:
    """Return where the entry's data begins, according to its local header.

    The header's own sizes and CRC-32 are ignored, because they are zero if a data descriptor follows (4.4.4, bit 3).
    Those of the directory are checked against the data itself.
    """
    signature, _, flags, method, *_, name_length, extra_length = _LOCAL_HEADER.unpack_from(data)
    if signature != _LOCAL_SIGNATURE:
        raise DamagedEntryError(f"no local header at byte {request.offset}, but {signature.hex()}")
    start: int = LOCAL_HEADER_SIZE + name_length + extra_length
    if start + request.compressed_size > request.extent:
        raise DamagedEntryError(
            f"the entry's header takes {start} bytes and its data {request.compressed_size}, "
            f"but {request.extent} bytes on another one begins"
        )
    name = bytes(data[LOCAL_HEADER_SIZE : LOCAL_HEADER_SIZE + name_length])
    # Either encoding of the name will do: some writers set the encoding flag in only one of the two headers.
    if request.name not in {decode_name(name, flags), decode_name(name, flags ^ UTF8_FLAG)}:
        raise DamagedEntryError(
            f"the local header at byte {request.offset} is that of {decode_name(name[:200], flags)!r}"
        )
    if method != request.method:
        raise DamagedEntryError(f"the local header says method {method}, but the directory {request.method}")
    return start


def _inflate(packed: memoryview, size: int) -> bytes:
    """Inflate one deflate stream (4.4.5, method 8) that takes all of ``packed``, to at most ``size`` + 1 bytes."""
    inflater = zlib_ng.decompressobj(_RAW_DEFLATE)
    try:
        content = inflater.decompress(packed, size + 1)
    except zlib_ng.error as error:  # type: ignore[misc]  # its types call the class an instance
        # The library's own message is left out: the detail of a reject is part of the set's bytes, which must not
        # change with the library's release.
        raise DamagedEntryError("the entry's data cannot be inflated") from error
    if len(content) > size:
        raise DamagedEntryError(f"the entry inflates to more than the {size} bytes that the directory says")
    if not inflater.eof:
        raise DamagedEntryError(f"the entry's data ends early: {len(packed)} bytes inflate to {len(content)} of {size}")
    if inflater.unused_data:
        raise DamagedEntryError(f"the entry's data goes on for {len(inflater.unused_data)} bytes after its end")
    return content
