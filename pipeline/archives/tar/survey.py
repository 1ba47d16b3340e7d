"""The survey of a tar archive: its entries, and whether it is whole."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from shards_spec.cores import usable_cores
from shards_spec.storage import ReadableStore

SURVEY_VERSION = 1
"""To be raised when a scan finds something else than before, so that results that were kept are not used."""

RANGE_BYTES = 256 << 20
"""Most bytes of a range that is scanned as one task: a quarter of a second from the page cache."""

LEAST_RANGE_BYTES = 128 << 20
"""Fewest bytes of such a range. Each takes some milliseconds by itself, so that many small ones take longer in all."""

RANGES = 16
"""Ranges that archives are cut into if their ranges are then neither too large nor too small: some for each of a few
cores, so that none waits long for the last one."""


@dataclass(frozen=True, slots=True)
class TarSurvey:
    """What a tar archive holds."""

    stream: TarStream
    sha256: str
    """See ``entries_sha256``."""
    entries: pa.Table
    """One row for each entry, with the columns of ``ENTRY_SCHEMA``."""
    joined: Joined


def range_bytes(total: int) -> int:
    """Return the bytes of ranges that archives of so many bytes together are cut into."""
    return min(max(-(-total // RANGES), LEAST_RANGE_BYTES), RANGE_BYTES)


def split_ranges(stream: TarStream, size: int) -> list[tuple[int, int]]:
    """Return the (start, stop) of ranges of ``size`` bytes that cover an archive."""
    return [(start, min(start + size, stream.size)) for start in range(0, stream.size, size)]


def join_scans(stream: TarStream, scans: Sequence[RangeScan], joined: Joined) -> TarSurvey:
    """Return the survey that scans of ranges which fit together make."""
    kept = [scan.entries for scan, is_kept in zip(scans, joined.kept, strict=True) if is_kept]
    entries = pa.concat_tables([ENTRY_SCHEMA.empty_table(), *kept]).unify_dictionaries()
    return TarSurvey(stream, entries_sha256([entries]), entries, joined)


def survey_tars(
    store: ReadableStore,
    streams: Sequence[TarStream],
    *,
    tasks: Tasks | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[TarSurvey]:
    """Survey tar archives, all of whose ranges are scanned together.

    Args:
        store: The store with the archives' files.
        streams: The archives.
        tasks: What scans the ranges; by default, this process does, one after the other.
        progress: A function that is called with the size in bytes of each range that has been scanned.

    Raises:
        ArchiveError: An archive is damaged or cut off.
    """
    size = range_bytes(sum(stream.size for stream in streams))
    ranges = [split_ranges(stream, size) for stream in streams]
    return _survey(store, streams, ranges, tasks or SerialTasks(store), progress)


def survey_tar(
    store: ReadableStore,
    stream: TarStream,
    ranges: Sequence[tuple[int, int]] | None = None,
    *,
    tasks: Tasks | None = None,
) -> TarSurvey:
    """Survey one tar archive; see ``survey_tars``.

    Args:
        store: The store with the archive's files.
        stream: The archive.
        ranges: (start, stop) of ranges that cover the archive, if it is not to be cut into the usual ones.
        tasks: What scans the ranges; by default, this process does, one after the other.
    """
    cut = ranges or split_ranges(stream, range_bytes(stream.size))
    (survey,) = _survey(store, [stream], [cut], tasks or SerialTasks(store), lambda _: None)
    return survey


def _survey(
    store: ReadableStore,
    streams: Sequence[TarStream],
    ranges: Sequence[Sequence[tuple[int, int]]],
    tasks: Tasks,
    progress: Callable[[int], None],
) -> list[TarSurvey]:
    """Survey archives, given the ranges that cover each."""
    pieces = [
        [_Range(stream, start, stop, None) for start, stop in own] for stream, own in zip(streams, ranges, strict=True)
    ]
    versions = [[store.version(path) for path in stream.paths] for stream in streams]
    places = [(archive, position) for archive, own in enumerate(pieces) for position in range(len(own))]
    parts = [_part(pieces[archive][position], versions[archive]) for archive, position in places]
    scans: list[dict[int, RangeScan]] = [{} for _ in streams]
    for number, table in tasks.run(_scan, parts):
        archive, position = places[number]
        scans[archive][position] = _decode(table)
        piece = pieces[archive][position]
        progress(piece.stop - piece.start)
    whole = []
    for stream, own, found, written in zip(streams, pieces, scans, versions, strict=True):
        done = [found[position] for position in range(len(own))]
        found.clear()
        while isinstance(joined := stitch(stream, [scan.chain for scan in done]), Rescan):
            again = own[joined.range_index]._replace(first=joined.first)
            ((_, table),) = tasks.run(_scan, [_part(again, written)])
            done[joined.range_index] = _decode(table)
        whole.append((stream, done, joined))
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="join") as pool:  # the digests take nearly all the time
        return list(pool.map(join_scans, *zip(*whole, strict=True)))


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
