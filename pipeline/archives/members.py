"""Members of zip archives, read by byte ranges: in physical order, in large reads, with every byte checked.

Section numbers are those of PKWARE's APPNOTE.TXT 6.3.10, the description of the zip format.
"""

import contextlib
import struct
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from zlib_ng import zlib_ng

from pipeline.archives.directory import LOCAL_HEADER_SIZE, UTF8_FLAG, decode_name
from pipeline.archives.support import DEFLATED, STORED
from shards_spec.rejects import RejectReason
from shards_spec.storage import Store, prefetch_next, read_ahead

MAX_MEMBER_SIZE = 64 << 20
"""Largest size in bytes, packed or unpacked, of a member that is read: far above any frame, far below a worker's
memory."""

MAX_BLOCK_SIZE = 8 << 20
"""Bytes that are read at once if members lie near each other. At this size the latency of a request is small compared
with its transfer, even from an object store, and a few blocks take little of a worker's memory. A larger member is a
block of its own."""

MAX_GAP = 64 << 10
"""Gap in bytes up to which two members are read together: reading it costs less than a second request does anywhere."""

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # 4.3.7: a local header before its name
_LOCAL_SIGNATURE = b"PK\x03\x04"
_LARGEST_NAME_AND_EXTRA = 2 * 0xFFFF
_RAW_DEFLATE = -zlib_ng.MAX_WBITS  # no zlib header around the data


class MemberRequest(NamedTuple):
    """A member to read, as the directory describes it (columns of ``ZipDirectory.members``)."""

    archive: str
    """Path of the archive in its store."""
    name: str
    offset: int
    extent: int
    compressed_size: int
    size: int
    crc32: int
    method: int


@dataclass(frozen=True, slots=True)
class MemberFault:
    """Why a member cannot be read. It would fail in the same way on every attempt."""

    reason: RejectReason
    detail: str
    """What failed, with the values, for people to read."""


@dataclass(slots=True)
class ReadCounters:
    """The cost of reading, which may be summed over several calls of ``read_members``."""

    requests: int = 0
    """Number of ranges that were read from the store."""
    bytes_read: int = 0
    """Number of bytes in those ranges."""
    bytes_used: int = 0
    """Packed bytes of the members that were yielded whole."""
    seconds_waiting: float = 0.0
    """Time in seconds that the consumer spent waiting for reads, because reading ahead did not hide all of it."""


class _Block(NamedTuple):
    """A byte range to read, and the requests that lie in it."""

    archive: str
    start: int
    stop: int
    positions: list[int]


class _DamagedError(Exception):
    """A member's bytes are not what the directory says; the message names the difference."""


def read_members(
    store: Store, requests: Sequence[MemberRequest], counters: ReadCounters | None = None
) -> Generator[tuple[int, bytes | MemberFault], None, None]:
    """Read members and yield each with its position in ``requests``, in physical order: by archive, then offset.

    Members that lie near each other are read together as a block. While the caller works on a block of a local file,
    the system reads the next one into its cache. Over a network, threads read the next blocks, as many as the store has
    use for (``reads_at_once``). Only these and the current block are in memory. The threads end when the generator ends
    or is closed, so a caller that may stop early wraps the generator in ``contextlib.closing``.

    A member is yielded only if its local header, size and CRC-32 are what the directory says. A member that fails this
    check is read once more by itself, so that a transient read error does not lose a frame; if it fails again, it is a
    fault.

    Args:
        store: Holds the archives.
        requests: The members to read, in any order; a member may occur more than once.
        counters: Counters to add to while reading.

    Yields:
        The position in ``requests``, and the member's bytes or the reason why there are none.

    Raises:
        OSError: The store reports a fault.
        EOFError: An archive is shorter than it was when its directory was read.
    """
    counters = ReadCounters() if counters is None else counters
    with contextlib.closing(_read_blocks(store, _plan_blocks(requests))) as blocks:
        while True:
            began = time.monotonic()
            found = next(blocks, None)
            counters.seconds_waiting += time.monotonic() - began
            if found is None:
                return
            block, data = found
            _count(counters, len(data))
            for position in block.positions:
                request = requests[position]
                member = _take(store, request, memoryview(data)[request.offset - block.start :], counters)
                if not isinstance(member, MemberFault):
                    counters.bytes_used += request.compressed_size
                yield position, member
            del found, data  # freed before waiting for the next block: the limit on memory depends on it


def _plan_blocks(requests: Sequence[MemberRequest]) -> Iterator[_Block]:
    """Group the requests into byte ranges to read, in physical order."""
    block: _Block | None = None
    for position in sorted(range(len(requests)), key=lambda position: (requests[position][0], requests[position][2])):
        request = requests[position]
        start, stop = request.offset, request.offset + _range_size(request)
        if (
            block is not None
            and request.archive == block.archive
            and start - block.stop <= MAX_GAP
            and stop - block.start <= MAX_BLOCK_SIZE
        ):
            block.positions.append(position)
            block = block._replace(stop=max(block.stop, stop))
            continue
        if block is not None:
            yield block
        block = _Block(request.archive, start, stop, [position])
    if block is not None:
        yield block


def _range_size(request: MemberRequest) -> int:
    """Return the bytes to read from a member's local header on: its extent without what may lie unused behind it."""
    if _refuse(request) is not None:
        return 0
    return min(request.extent, LOCAL_HEADER_SIZE + _LARGEST_NAME_AND_EXTRA + request.compressed_size)


def _refuse(request: MemberRequest) -> MemberFault | None:
    """Return what the directory alone shows to be wrong with a member; None if nothing is."""
    largest = max(request.size, request.compressed_size)
    if largest > MAX_MEMBER_SIZE:
        detail = f"the member takes {largest} bytes: at most {MAX_MEMBER_SIZE} are taken"
        return MemberFault(RejectReason.FRAME_TOO_LARGE, detail)
    if request.method not in {STORED, DEFLATED}:
        detail = f"the member is packed by method {request.method}: only stored (0) and deflated (8) are taken"
        return MemberFault(RejectReason.FRAME_UNSUPPORTED, detail)
    least = LOCAL_HEADER_SIZE + request.compressed_size
    if least > request.extent:
        detail = f"the member takes {least} bytes or more, but {request.extent} bytes on another one begins"
        return MemberFault(RejectReason.FRAME_DAMAGED, detail)
    return None


def _read_blocks(store: Store, blocks: Iterator[_Block]) -> Generator[tuple[_Block, bytes], None, None]:
    """Yield the blocks and their bytes. A block of refused members only is not read."""

    def read(block: _Block) -> tuple[_Block, bytes]:
        return block, store.read(block.archive, block.start, block.stop) if block.start < block.stop else b""

    if store.reads_at_once > 1:
        yield from read_ahead(read, blocks, store.reads_at_once)
    else:  # reading in a thread would copy the data into another processor's cache, which costs 5% of a shard's time
        yield from map(
            read, prefetch_next(lambda block: store.prefetch(block.archive, block.start, block.stop), blocks)
        )


def _count(counters: ReadCounters, length: int) -> None:
    if length:
        counters.requests += 1
        counters.bytes_read += length


def _take(store: Store, request: MemberRequest, data: memoryview, counters: ReadCounters) -> bytes | MemberFault:
    """Return the member's bytes from ``data``, which begins at its local header, or from a second read."""
    fault = _refuse(request)
    if fault is not None:
        return fault
    try:
        return _unpack(request, data)
    except _DamagedError:
        began = time.monotonic()
        again = store.read(request.archive, request.offset, request.offset + _range_size(request))
        counters.seconds_waiting += time.monotonic() - began
        _count(counters, len(again))
    try:
        return _unpack(request, memoryview(again))
    except _DamagedError as error:
        return MemberFault(RejectReason.FRAME_DAMAGED, str(error))


def _unpack(request: MemberRequest, data: memoryview) -> bytes:
    """Return the member's bytes; raise ``_DamagedError`` unless they are what the directory says."""
    start = _find_data(request, data)
    packed = data[start : start + request.compressed_size]
    member = _inflate(packed, request.size) if request.method == DEFLATED else bytes(packed)
    if len(member) != request.size:
        raise _DamagedError(f"the member holds {len(member)} bytes, but the directory says {request.size}")
    crc32 = zlib_ng.crc32(member)
    if crc32 != request.crc32:
        raise _DamagedError(f"the member's CRC-32 is {crc32:08x}, but the directory says {request.crc32:08x}")
    return member


def _find_data(request: MemberRequest, data: memoryview) -> int:
    """Return where the member's data begins, according to its local header.

    The header's own sizes and CRC-32 are ignored, because they are zero if a data descriptor follows (4.4.4, bit 3).
    Those of the directory are checked against the data itself.
    """
    signature, _, flags, method, *_, name_length, extra_length = _LOCAL_HEADER.unpack_from(data)
    if signature != _LOCAL_SIGNATURE:
        raise _DamagedError(f"no local header at byte {request.offset}, but {signature.hex()}")
    start: int = LOCAL_HEADER_SIZE + name_length + extra_length
    if start + request.compressed_size > request.extent:
        raise _DamagedError(
            f"the member's header takes {start} bytes and its data {request.compressed_size}, "
            f"but {request.extent} bytes on another one begins"
        )
    name = bytes(data[LOCAL_HEADER_SIZE : LOCAL_HEADER_SIZE + name_length])
    # Either encoding of the name will do: some writers set the encoding flag in only one of the two headers.
    if request.name not in {decode_name(name, flags), decode_name(name, flags ^ UTF8_FLAG)}:
        raise _DamagedError(f"the local header at byte {request.offset} is that of {decode_name(name[:200], flags)!r}")
    if method != request.method:
        raise _DamagedError(f"the local header says method {method}, but the directory {request.method}")
    return start


def _inflate(packed: memoryview, size: int) -> bytes:
    """Inflate one deflate stream (4.4.5, method 8) that takes all of ``packed``, to at most ``size`` + 1 bytes."""
    inflater = zlib_ng.decompressobj(_RAW_DEFLATE)
    try:
        member = inflater.decompress(packed, size + 1)
    except zlib_ng.error as error:  # type: ignore[misc]  # its types call the class an instance
        # The library's own message is left out: the detail of a reject is part of the set's bytes, which must not
        # change with the library's release.
        raise _DamagedError("the member's data cannot be inflated") from error
    if len(member) > size:
        raise _DamagedError(f"the member inflates to more than the {size} bytes that the directory says")
    if not inflater.eof:
        raise _DamagedError(f"the member's data ends early: {len(packed)} bytes inflate to {len(member)} of {size}")
    if inflater.unused_data:
        raise _DamagedError(f"the member's data goes on for {len(inflater.unused_data)} bytes after its end")
    return member
