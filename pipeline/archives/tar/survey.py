"""The survey of a tar archive: its entries, and whether it is whole."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import pyarrow as pa

from pipeline.archives.table import ENTRY_SCHEMA, entries_sha256
from pipeline.archives.tar.chain import Chain
from pipeline.archives.tar.scan import RangeScan, scan_range
from pipeline.archives.tar.stitch import Joined, Rescan, stitch
from pipeline.archives.tar.stream import TarStream
from pipeline.archives.tasks import Part, SerialTasks, Tasks
from shards_spec.storage import ReadableStore

SURVEY_VERSION = 1
"""To be raised when a scan finds something else than before, so that results that were kept are not used."""

RANGE_BYTES = 256 << 20
"""Bytes of a range that is scanned as one task: a quarter of a second from the page cache."""


@dataclass(frozen=True, slots=True)
class TarSurvey:
    """What a tar archive holds."""

    stream: TarStream
    sha256: str
    """See ``entries_sha256``."""
    entries: pa.Table
    """One row for each entry, with the columns of ``ENTRY_SCHEMA``."""
    joined: Joined


def split_ranges(stream: TarStream, size: int = RANGE_BYTES) -> list[tuple[int, int]]:
    """Return the (start, stop) of ranges of ``size`` bytes that cover an archive."""
    return [(start, min(start + size, stream.size)) for start in range(0, stream.size, size)]


def join_scans(stream: TarStream, scans: Sequence[RangeScan], joined: Joined) -> TarSurvey:
    """Return the survey that scans of ranges which fit together make."""
    kept = [scan.entries for scan, is_kept in zip(scans, joined.kept, strict=True) if is_kept]
    entries = pa.concat_tables([ENTRY_SCHEMA.empty_table(), *kept]).unify_dictionaries()
    return TarSurvey(stream, entries_sha256([entries]), entries, joined)


def survey_tar(
    store: ReadableStore,
    stream: TarStream,
    ranges: Sequence[tuple[int, int]] | None = None,
    *,
    tasks: Tasks | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> TarSurvey:
    """Survey a tar archive.

    Args:
        store: The store with the archive's files.
        stream: The archive.
        ranges: (start, stop) of ranges that cover the archive; by default, they have ``RANGE_BYTES``.
        tasks: What scans the ranges; by default, this process does, one after the other.
        progress: A function that is called with the size in bytes of each range that has been scanned.

    Raises:
        ArchiveError: The archive is damaged or cut off.
    """
    tasks = tasks or SerialTasks(store)
    versions = [store.version(path) for path in stream.paths]
    pieces = [_Range(stream, start, stop, None) for start, stop in ranges or split_ranges(stream)]
    scans: list[RangeScan | None] = [None] * len(pieces)
    for position, table in tasks.run(_scan, [_part(piece, versions) for piece in pieces]):
        scans[position] = _decode(table)
        progress(pieces[position].stop - pieces[position].start)
    done = [scan for scan in scans if scan is not None]
    assert len(done) == len(pieces)
    while isinstance(joined := stitch(stream, [scan.chain for scan in done]), Rescan):
        again = pieces[joined.range_index]._replace(first=joined.first)
        ((_, table),) = tasks.run(_scan, [_part(again, versions)])
        done[joined.range_index] = _decode(table)
    return join_scans(stream, done, joined)


class _Range(NamedTuple):
    """A range to scan; see ``scan_range``."""

    stream: TarStream
    start: int
    stop: int
    first: int | None


def _part(piece: _Range, versions: Sequence[str]) -> Part:
    files = list(zip(piece.stream.paths, piece.stream.sizes, versions, strict=True))
    return Part(json.dumps([SURVEY_VERSION, files, piece.start, piece.stop, piece.first]), piece)


def _scan(store: ReadableStore, piece: _Range) -> pa.Table:
    chain, entries = scan_range(store, *piece)
    return entries.replace_schema_metadata({_CHAIN: msgspec.json.encode(chain)})


def _decode(table: pa.Table) -> RangeScan:
    chain = msgspec.json.decode(table.schema.metadata[_CHAIN], type=Chain)
    return RangeScan(chain, table.replace_schema_metadata(None))


_CHAIN = b"chain"
