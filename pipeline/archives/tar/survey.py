"""The survey of a tar archive: its entries, and whether it is whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.archives.table import ENTRY_SCHEMA, entries_sha256
from pipeline.archives.tar.scan import RangeScan, scan_range
from pipeline.archives.tar.stitch import Joined, Rescan, stitch
from pipeline.archives.tar.stream import TarStream
from shards_spec.storage import ReadableStore

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


def survey_tar(store: ReadableStore, stream: TarStream, ranges: Sequence[tuple[int, int]] | None = None) -> TarSurvey:
    """Survey a tar archive in this process, range after range.

    Raises:
        ArchiveError: The archive is damaged or cut off.
    """
    scans = [scan_range(store, stream, *piece) for piece in ranges or split_ranges(stream)]
    while isinstance(joined := stitch(stream, [scan.chain for scan in scans]), Rescan):
        chain = scans[joined.range_index].chain
        scans[joined.range_index] = scan_range(store, stream, chain.start, chain.stop, joined.first)
    return join_scans(stream, scans, joined)
