"""Tar archives as streams of bytes: one file each, or several files that are pieces of one archive."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from pipeline.archives.errors import ArchiveError
from pipeline.archives.request import FileRange
from pipeline.archives.sniff import HEAD_BYTES, foreign_to_tar
from pipeline.archives.tar.header import BLOCK, BadHeaderError, decode_header
from shards_spec.storage import ReadableStore


@dataclass(frozen=True, slots=True)
class TarStream:
    """A tar archive: its files in order, whose bytes one behind the other are the archive. Mostly it is one file.

    Offsets in the archive count from the beginning of the first file.
    """

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    """Size of each file in bytes."""

    @property
    def size(self) -> int:
        """Size of the archive in bytes."""
        return sum(self.sizes)

    def ranges(self, start: int, stop: int) -> list[FileRange]:
        """Return where bytes ``start`` to ``stop`` - 1 of the archive lie: one range, or one for each file."""
        if len(self.paths) == 1:
            return [FileRange(self.paths[0], start, stop)]
        found = []
        ends = list(accumulate(self.sizes))
        for index in range(bisect_right(ends, start), len(ends)):
            begin = ends[index] - self.sizes[index]
            if begin >= stop:
                break
            piece = FileRange(self.paths[index], max(start, begin) - begin, min(stop, ends[index]) - begin)
            if piece.start < piece.stop:
                found.append(piece)
        return found

    def place(self, offset: int) -> tuple[str, int]:
        """Return the file in which a byte of the archive lies, and its offset there."""
        index = min(bisect_right(list(accumulate(self.sizes)), offset), len(self.sizes) - 1)
        return self.paths[index], offset - sum(self.sizes[:index])

    def read(self, store: ReadableStore, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` - 1 of the archive."""
        return b"".join(store.read(*piece) for piece in self.ranges(start, stop))

    def read_into(self, store: ReadableStore, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes of the archive from ``start`` on."""
        done = 0
        for path, begin, end in self.ranges(start, start + len(buffer)):
            store.read_into(path, begin, buffer[done : done + end - begin])
            done += end - begin


def find_tars(store: ReadableStore, paths: Iterable[str]) -> list[TarStream]:
    """Join files to tar archives.

    A file that does not begin with a header, or with the zeros of an empty archive, is the next piece of the archive
    that the file before it belongs to. So the parts of a dataset may be archives of their own or pieces of one. The
    survey finds out if a piece does not fit.

    Args:
        store: The store with the files.
        paths: The files, in the order of their pieces (see ``natural_key``).

    Raises:
        ArchiveError: A file is compressed or empty, or the first one does not begin like a tar.
    """
    streams: list[list[tuple[str, int]]] = []
    for path in paths:
        size = store.size(path)
        head = store.read(path, 0, min(size, HEAD_BYTES))
        if _begins_tar(head):
            streams.append([(path, size)])
        elif streams and head and foreign_to_tar(head, path) is None:
            streams[-1].append((path, size))
        else:
            what = foreign_to_tar(head, path) or ("no header stands at its beginning" if head else "it is empty")
            raise ArchiveError(f"{path} is no tar archive: {what}")
    return [TarStream(tuple(path for path, _ in pieces), tuple(size for _, size in pieces)) for pieces in streams]


def _begins_tar(head: bytes) -> bool:
    block = head[:BLOCK]
    try:
        decode_header(block)
    except (BadHeaderError, IndexError):  # the latter where the block is short
        return len(block) == BLOCK and not any(block)
    return len(block) == BLOCK
