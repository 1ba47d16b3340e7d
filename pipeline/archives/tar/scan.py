"""The entries of a tar whose headers begin in a byte range, found without knowing what stands before the range."""

from bisect import bisect_left
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.archives.table import ENTRY_SCHEMA, EntryKind
from pipeline.archives.tar.batch import SingleEntry, kind_of, make_batch
from pipeline.archives.tar.chain import Chain
from pipeline.archives.tar.extension import EXTENSIONS, Extension, extend
from pipeline.archives.tar.header import (
    BLOCK,
    CONTENT_FOLLOWS,
    BadHeaderError,
    Blocks,
    Header,
    Headers,
    decode_header,
    decode_headers,
    decode_name,
    find_magic,
    padded,
)
from pipeline.archives.tar.stream import TarStream
from shards_spec.storage import ReadableStore, read_ahead

BUFFER_BYTES = 8 << 20
"""Bytes that are scanned at a time: a few thousand entries, so that the calls into NumPy and Arrow cost little."""

MAX_EXTENSION_BYTES = 1 << 20
"""Most bytes that the extension headers of one entry may take: far above any name, far below a worker's memory."""

LOOKBACK_BYTES = 4096
"""Bytes before a range in which the search begins. An entry whose extension headers stand there belongs to the range
before; beginning with them, the search finds the range's own first entry."""

SPARSE = ord("S")
_SPARSE_CONTINUES = 482  # GNU tar: a flag in the header that a block with more of the map follows
_SPARSE_MAP_CONTINUES = 504  # the same in such a block

IS_SPECIAL = np.zeros(256, np.bool_)
"""By type: whether a header is taken by itself."""
IS_SPECIAL[[*EXTENSIONS, SPARSE]] = True


class RangeScan(NamedTuple):
    """The entries whose first headers lie in a range."""

    chain: Chain
    entries: pa.Table
    """A table of ``ENTRY_SCHEMA``, with offsets in the archive."""


def scan_range(store: ReadableStore, stream: TarStream, start: int, stop: int, first: int | None = None) -> RangeScan:
    """Find the entries whose first headers lie in bytes ``start`` to ``stop`` - 1 of an archive.

    The scan begins at the first block that looks like a header and follows the chain of entries from there. Such a
    block may as well be the content of an entry that is itself a tar; whoever joins the ranges finds that out (see
    ``stitch``) and scans the range again with the ``first`` header that is the right one.

    Reading an archive whose bytes make no sense is no error here, because a chain that begins inside an entry makes
    none either; the chain then says why it ends.

    Args:
        store: The store with the archive's files.
        stream: The archive.
        start: Beginning of the range.
        stop: End of the range.
        first: Offset of the first header in the range, where it is known.

    Raises:
        OSError: The store reports a fault.
        EOFError: A file is shorter than it was.
    """
    walk = _Walk(store, stream, start, stop, first)
    batches = []
    with closing(_buffers(store, stream, walk)) as buffers:
        for begin, data in buffers:
            batches += walk.take_buffer(begin, data)
    batches += walk.finish()
    table = pa.Table.from_batches(batches, ENTRY_SCHEMA).unify_dictionaries()
    return RangeScan(walk.chain(table.num_rows), table)


def _buffers(store: ReadableStore, stream: TarStream, walk: "_Walk") -> Generator[tuple[int, memoryview], None, None]:
    """Yield the range's bytes, from where the walk begins, in buffers. Each is valid until the next is asked for."""
    begins = range(walk.position, min(walk.stop, stream.size), BUFFER_BYTES)

    def end(begin: int) -> int:
        return min(begin + BUFFER_BYTES, stream.size)

    wanted = (begin for begin in begins if walk.wants(end(begin)))
    if store.reads_at_once > 1:
        pieces = read_ahead(lambda begin: (begin, stream.read(store, begin, end(begin))), wanted, store.reads_at_once)
        with closing(pieces):
            yield from ((begin, memoryview(data)) for begin, data in pieces)
        return
    # Reading into the same memory again is several times as fast as into new memory, which the system has to clear.
    memory = memoryview(bytearray(min(BUFFER_BYTES, stream.size - begins.start)))
    for begin in wanted:
        buffer = memory[: end(begin) - begin]
        stream.read_into(store, begin, buffer)
        yield begin, buffer


@dataclass(slots=True)
class _Group:
    """The extension headers before an entry's own header."""

    start: int = 0
    size: int = 0
    """Bytes that they take; 0 if there are none."""
    crc32: int = 0
    extension: Extension = field(default_factory=Extension)


class _Found(NamedTuple):
    """The blocks of a buffer that have the magic of a header."""

    offsets: npt.NDArray[np.int64]
    """Where they stand in the archive."""
    blocks: Blocks
    headers: Headers


class _Walk:
    """Follows the chain of entries through buffers, and collects them."""

    def __init__(self, store: ReadableStore, stream: TarStream, start: int, stop: int, first: int | None) -> None:
        self._store = store
        self._stream = stream
        self._size = stream.size
        self._start = start
        self.stop = stop
        self.position = first if first is not None else max(0, start - LOOKBACK_BYTES) // BLOCK * BLOCK
        """Where the next header stands, or, during the search, where it goes on."""
        self._searching = first is None
        self._begins = first
        self._ended = False
        self._fault: str | None = None
        self._trailing: int | None = None
        self._group = _Group()
        self._buffer = (0, memoryview(b""))
        self._singles: list[SingleEntry] = []

    def chain(self, entries: int) -> Chain:
        """Describe the chain, of which so many entries lie in the range."""
        return Chain(
            start=self._start,
            stop=self.stop,
            begins=self._begins,
            next=self.position,
            ended=self._ended,
            fault=self._fault,
            entries=entries,
            trailing=self._trailing,
        )

    def wants(self, end: int) -> bool:
        """Return whether a buffer that ends there is still of interest."""
        if self._ended:
            return self._trailing is None
        return self._searching or (self._fault is None and self.position < end)

    def take_buffer(self, begin: int, data: memoryview) -> list[pa.RecordBatch]:
        """Go on through the next buffer; return the entries found."""
        self._buffer = (begin, data)
        blocks = np.frombuffer(data, np.uint8, len(data) // BLOCK * BLOCK).reshape(-1, BLOCK)
        places = find_magic(blocks)
        chosen = blocks[places]
        found = _Found(begin + BLOCK * places.astype(np.int64), chosen, decode_headers(chosen))
        rows: list[npt.NDArray[np.intp]] = []
        while True:
            if self._searching:
                self._search(found, begin + blocks.size)
            if not self._searching:
                rows += self._follow(found, begin + blocks.size)
            if self._begins is not None or not (self._ended or self._fault):
                break
            # The chain ended before the range began, so it was none: search in the range itself.
            self.position = -(-self._start // BLOCK) * BLOCK
            self._searching, self._ended, self._fault, self._group = True, False, None, _Group()
        if self._ended or self._searching:
            self._note_trailing()
        kept = np.concatenate(rows) if rows else np.empty(0, np.intp)
        kept = kept[found.offsets[kept] >= self._start]
        batch = make_batch(
            found.offsets[kept], found.headers.sizes[kept], found.headers.types[kept], chosen[kept], self._singles
        )
        self._singles = []
        return [batch]

    def finish(self) -> list[pa.RecordBatch]:
        """Complete the last entry, which may end behind the range; return it, if there is one."""
        while not self._searching and not self._leaves(self.stop) and self.position < self._size:
            block = self._read(self.position, min(self.position + BLOCK, self._size))
            if len(block) < BLOCK:
                self._fault = f"the header is cut off: the archive ends at byte {self._size}"
            else:
                self._take(block)
        if self._group.size and not self._fault:
            self._fault = "the archive ends behind an extension header"
        no_rows = np.empty(0, np.int64)
        blocks = np.empty((0, BLOCK), np.uint8)
        return [make_batch(no_rows, no_rows, no_rows.astype(np.uint8), blocks, self._singles)] if self._singles else []

    def _search(self, found: _Found, end: int) -> None:
        """Go to the first block from ``position`` on that is a header."""
        for row in range(int(np.searchsorted(found.offsets, self.position)), len(found.offsets)):
            if not found.headers.valid[row]:
                try:
                    decode_header(found.blocks[row].tobytes())
                except BadHeaderError:
                    continue
            self.position = int(found.offsets[row])
            self._searching = False
            return
        self.position = end

    def _leaves(self, end: int) -> bool:
        """Return whether the chain has ended, or goes on at ``end`` or behind it with a new entry."""
        return self._ended or self._fault is not None or (self.position >= end and not self._group.size)

    def _follow(self, found: _Found, end: int) -> list[npt.NDArray[np.intp]]:
        """Follow the chain through a buffer that ends at ``end``; return rows of ``found`` in pieces, in order.

        A run of headers of which each stands where the entry before it ends is taken at once.
        """
        offsets, (valid, types, sizes) = found.offsets, found.headers
        is_plain = valid & ~IS_SPECIAL[types] & (offsets + BLOCK + sizes <= self._size)
        nexts = np.where(is_plain, offsets + BLOCK + padded(sizes), -1)
        places, plain = offsets.tolist(), is_plain.tolist()  # single values of lists are quicker to get at
        headers = [*map(Header, types.tolist(), sizes.tolist())] if not all(plain) else []
        breaks = np.append(np.flatnonzero(nexts[:-1] != offsets[1:]), len(places) - 1)
        run_ends = breaks[np.searchsorted(breaks, np.arange(len(places)))]
        inside = bisect_left(places, self.stop)
        rows = []
        row = 0  # the first header at or behind the position
        while self.position < end and not self._leaves(self.stop):
            row = bisect_left(places, self.position, row)
            is_header = row < len(places) and places[row] == self.position
            if self._begins is None and self._start <= self.position < self.stop and not self._group.size:
                self._begins = self.position
            if is_header and plain[row] and not self._group.size:
                last = int(run_ends[row])
                last = min(last if plain[last] else last - 1, inside - 1)
                rows.append(np.arange(row, last + 1))
                if self._begins is None:
                    first = bisect_left(places, self._start, row, last + 1)
                    self._begins = places[first] if first <= last else None
                self.position = int(nexts[last])
                row = last + 1
            else:
                header = headers[row] if is_header and headers and valid[row] else None
                self._take(self._read(self.position, self.position + BLOCK), header)
        return rows

    def _take(self, block: bytes, header: Header | None = None) -> None:
        """Take what stands at ``position`` by itself: an unusual header, the chain's end, or what breaks the chain.

        Args:
            block: The block there.
            header: What it says, if it has been decoded.
        """
        if header is None and not any(block):
            self._ended = not self._group.size
            self._fault = None if self._ended else "the archive ends behind an extension header"
            return
        try:
            header = header or decode_header(block)
            if header.type in EXTENSIONS:
                self._take_extension(block, header)
            else:
                self._take_entry(block, header)
        except BadHeaderError as error:
            self._fault = str(error)

    def _take_extension(self, block: bytes, header: Header) -> None:
        group = self._group
        end = self.position + BLOCK + padded(header.size)
        payload = self._read_header(block, self.position + BLOCK, end)
        if not group.size:
            group.start = self.position
        group.extension = extend(group.extension, header.type, payload[: header.size])
        group.crc32 = crc32(payload, crc32(block, group.crc32))
        group.size += end - self.position
        self.position = end

    def _take_entry(self, block: bytes, header: Header) -> None:
        start, extension = self._group.start if self._group.size else self.position, self._group.extension
        crc = crc32(block, self._group.crc32)
        content = self.position + BLOCK
        is_continued = header.type == SPARSE and block[_SPARSE_CONTINUES]
        while is_continued:
            more = self._read_header(block, content, content + BLOCK)
            crc, content, is_continued = crc32(more, crc), content + BLOCK, more[_SPARSE_MAP_CONTINUES]
        size = header.size
        if extension.size is not None and CONTENT_FOLLOWS[header.type]:
            size = extension.size
        path = decode_name(block) if extension.name is None else extension.name
        if content + size > self._size:
            name = path.decode("utf-8", "backslashreplace")
            raise BadHeaderError(f"{name!r} takes {size} bytes, but the archive is cut off at byte {self._size}")
        if start >= self._start:
            kind = EntryKind.SPARSE if extension.is_sparse else kind_of(header.type)
            self._singles.append(SingleEntry(start, content - start, size, crc, kind, path))
        self.position = content + padded(size)
        self._group = _Group()

    def _read_header(self, block: bytes, begin: int, end: int) -> bytes:
        """Read what belongs to the header in ``block``; raise ``BadHeaderError`` if it is too much, or cut off."""
        if self._group.size + end - self.position > MAX_EXTENSION_BYTES:
            name = decode_name(block).decode("utf-8", "backslashreplace")
            raise BadHeaderError(f"the headers before {name!r} take more than {MAX_EXTENSION_BYTES} bytes")
        if end > self._size:
            raise BadHeaderError(f"the header is cut off: the archive ends at byte {self._size}")
        return self._read(begin, end)

    def _read(self, begin: int, end: int) -> bytes:
        """Return bytes of the archive, from the buffer where they lie in it."""
        start, data = self._buffer
        if start <= begin and end <= start + len(data):
            return bytes(data[begin - start : end - start])
        return self._stream.read(self._store, begin, end)

    def _note_trailing(self) -> None:
        """Note the first byte of the buffer that is not zero, and lies in the range and not in the chain."""
        start, data = self._buffer
        begin = max(start, self._start, self.position if self._ended else 0)
        rest = np.frombuffer(data, np.uint8)[begin - start : self.stop - start]
        if self._trailing is None and rest.any():
            self._trailing = begin + int(np.argmax(rest != 0))
