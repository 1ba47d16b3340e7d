"""The catalog of City1M-Full: labels and zip directories are joined, judged, and laid out as one row for each frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import ZipRequest
from pipeline.samples import Notes
from pipeline.sources.catalog import Catalog, first_reject
from pipeline.sources.city1m.full import CITY1M
from pipeline.sources.city1m.full.frames import FRAME_SCHEMA
from pipeline.sources.city1m.full.locate import Located, locate_frames, read_archives
from pipeline.sources.city1m.full.losses import missing_archives, reject_frames, reject_members
from pipeline.sources.city1m.full.probe import FRAMES_AN_ARCHIVE, probe_frame_size
from pipeline.sources.city1m.labels.cells import Cells, name_cells
from pipeline.sources.city1m.labels.decisions import (
    BOX_COLUMNS,
    MemberIds,
    check_group_counts,
    decide_box_order,
    decide_identity_scope,
)
from pipeline.sources.city1m.labels.merge import (
    LabelledFrames,
    are_finite,
    are_repeated,
    merge_lines,
    note_repeated_lines,
)
from pipeline.sources.city1m.labels.names import FRAME_EXTENSION, FrameNames, parse_stems
from pipeline.sources.city1m.labels.ragged import list_starts, value_positions
from pipeline.sources.city1m.labels.read import Labels, empty_splits, missing_splits, read_labels
from pipeline.sources.city1m.options import City1MOptions
from pipeline.sources.city1m.zips import Archives
from shards_spec.errors import UsageError
from shards_spec.manifest import Account, Decision
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.storage import Store
from shards_spec.variants.city1m.names import FULL

_AT_A_TIME = 1 << 20
"""Members that are gathered at once."""

_Bools = npt.NDArray[np.bool_]
_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is left of the labelled frames."""

    order: _Int64
    """Frames that are not lost as a whole, sorted by archive and offset. All of a frame's members may be lost
    nevertheless."""
    stems: pa.Array
    """Their names (strings), in that order."""
    names: FrameNames
    """What those names say, in that order."""
    is_kept: _Bools
    """Which members are kept, ``[members]``, in the order of the labels."""
    decisions: dict[str, Decision]
    rejects: list[Reject]


def build_catalog(
    source: Store, labels: Store, options: City1MOptions, progress: Callable[[str], None] | None = None
) -> Catalog:
    """Find out what a folder of City1M-Full holds.

    Args:
        source: The store with the zips at its top.
        labels: The store with the label files at its top, which may be the same.
        options: The own options of such a source.
        progress: A function that is called with a sentence about the progress now and then.

    Raises:
        UsageError: There are no labels, no archives, or nothing that is in both; an archive cannot be read; the box
            order or the identity scope is not clear; a group id stands for two groups.
        OSError: A store reports a fault.
    """
    lines = read_labels(labels, progress)
    frames = merge_lines(lines)
    if not len(frames.counts):
        raise UsageError(
            f"{labels.url}: none of the {lines.lines} label lines labels a frame{first_reject(lines.rejects)}"
        )
    archives = read_archives(source, progress)
    located = locate_frames(frames.names, archives)
    judged = _judge(source, lines, frames, archives, located, options)
    rejects = lines.rejects + judged.rejects

    kept_before = list_starts(judged.is_kept.view(np.uint8))
    kept_counts = kept_before[frames.starts[1:]] - kept_before[frames.starts[:-1]]
    has_members = kept_counts[judged.order] > 0
    order = judged.order[has_members]
    if not len(order):
        raise UsageError(f"{source.url}: nothing to convert: every labelled frame is lost{first_reject(rejects)}")
    cells = name_cells(lines.files, np.unique(frames.splits[order]).tolist())
    table = _build_table(frames, archives, located, judged, has_members, kept_counts[order], cells)
    notes = Notes()
    notes.update(lines.notes.total())
    note_repeated_lines(notes, lines, frames)
    notes.add_all(Note.ARCHIVE_REPEATED, len(archives.repeated), archives.repeated)
    notes.add_rows(Note.IMAGE_UNLABELLED, located.is_unlabelled, archives.where)
    notes.add_rows(Note.ENTRY_IGNORED, located.is_ignored, archives.where)
    has_other_count = frames.counts[judged.order] != judged.names.member_counts
    notes.add_rows(Note.MEMBER_COUNT_DIFFERS, has_other_count, lambda row: str(judged.stems[row].as_py()))
    return Catalog(
        source=CITY1M,
        rows=table,
        protocols=cells.protocols,
        cell_splits=cells.cell_splits,
        dataset=FULL,
        archives=archives.sources,
        labels=lines.sources,
        decisions=judged.decisions,
        accounts={
            "lines": Account(lines.lines, lines.lines - len(lines.rejects), len(lines.rejects)),
            "frames": Account(len(frames.counts), len(order), len(frames.counts) - len(order)),
            "members": Account(len(frames.person_ids), int(kept_before[-1]), int(np.count_nonzero(~judged.is_kept))),
        },
        rejects=rejects,
        notes=notes.total(),
        gaps=lines.gaps
        + missing_splits(labels, lines.files)
        + empty_splits(lines.files, cells.protocols)
        + missing_archives(source, frames, archives, located),
    )


def _judge(
    source: Store, labels: Labels, frames: LabelledFrames, archives: Archives, located: Located, options: City1MOptions
) -> _Judged:
    """Decide what is kept, and how to read boxes and ids."""
    lost_frames = reject_frames(labels, frames, archives, located)
    rejects = list(lost_frames.values())
    is_kept_frame = np.ones(len(frames.counts), bool)
    is_kept_frame[list(lost_frames)] = False
    order = _physical_order(np.flatnonzero(is_kept_frame), archives, located)
    if not len(order):
        raise UsageError(f"{source.url}: no labelled frame can be taken from the archives there{first_reject(rejects)}")
    stems = pc.binary_slice(frames.names.take(order), 0, -len(FRAME_EXTENSION)).cast(pa.string())
    names = parse_stems(stems)
    group_codes = names.group_ids.dictionary_encode().indices.to_numpy()
    check_group_counts(group_codes, names.member_counts, stems)

    in_kept_frame = np.repeat(is_kept_frame, frames.counts)
    is_repeated = in_kept_frame & are_repeated(frames)
    is_odd = in_kept_frame & ~is_repeated & ~are_finite(frames.values)
    rejects += reject_members(labels, frames, is_repeated, RejectReason.MEMBER_REPEATED)
    rejects += reject_members(labels, frames, is_odd, RejectReason.MEMBER_NOT_FINITE)
    is_kept = in_kept_frame & ~is_repeated & ~is_odd
    frame_size = _probe(source, order, archives, located) if options.box_order == "auto" else None
    decisions = {
        "box_order": decide_box_order(options.box_order, frames.values, is_kept, frame_size),
        "identity_scope": decide_identity_scope(
            options.identity_scope, _member_ids(frames, order, is_kept, group_codes, names.member_counts)
        ),
    }
    is_empty = is_kept & ~(frames.values[:, 2:4] > 0).all(axis=1)
    rejects += reject_members(labels, frames, is_empty, RejectReason.BOX_EMPTY, decisions["box_order"].choice)
    return _Judged(order, stems, names, is_kept & ~is_empty, decisions, rejects)


def _physical_order(chosen: _Int64, archives: Archives, located: Located) -> _Int64:
    """Return frames in order of archive, then offset."""
    rows = located.rows[chosen]
    offsets = archives.entries.column("offset").to_numpy()[rows]
    archive = archives.entries.column("archive").to_numpy()[rows]
    return chosen[np.lexsort((rows, offsets, archive))]


def _probe(source: Store, order: _Int64, archives: Archives, located: Located) -> tuple[int, int] | None:
    """Return the frames' size, read from the first frames of each archive."""
    archive = archives.entries.column("archive").to_numpy()[located.rows[order]]
    _, first = np.unique(archive, return_index=True)
    ends = np.append(first[1:], len(order))
    rows = [
        int(row)
        for start, end in zip(first, ends, strict=True)
        for row in located.rows[order[start : min(end, start + FRAMES_AN_ARCHIVE)]]
    ]
    columns = [name for name in ZipRequest._fields if name != "archive"]
    entries = archives.entries.select(columns).take(rows).to_pylist()
    return probe_frame_size(
        source, [ZipRequest(archive=archives.path(row), **entry) for row, entry in zip(rows, entries, strict=True)]
    )


def _member_ids(
    frames: LabelledFrames,
    order: _Int64,
    is_kept: _Bools,
    group_codes: npt.NDArray[np.int32],
    member_counts: npt.NDArray[np.int32],
) -> MemberIds:
    """Return the kept members and what their frames' names say, in the order of the labels."""

    def spread(of_frame: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        by_row = np.zeros(len(frames.counts), np.int32)
        by_row[order] = of_frame
        return np.repeat(by_row, frames.counts)[is_kept]

    return MemberIds(frames.person_ids[is_kept], spread(group_codes), spread(member_counts))


def _build_table(
    frames: LabelledFrames,
    archives: Archives,
    located: Located,
    judged: _Judged,
    has_members: _Bools,
    kept_counts: npt.NDArray[np.int64],
    cells: Cells,
) -> pa.Table:
    """Return the rows of the catalog.

    Args:
        frames: What the labels say.
        archives: What the archives hold.
        located: Where the frames lie.
        judged: Which of the frames and members are left.
        has_members: Which frames in ``judged.order`` have members left.
        kept_counts: How many members each of those has.
        cells: The names of the cells that the frames are in.
    """
    order = judged.order[has_members]
    chosen = pa.array(has_members)
    bits, codes = np.unique(frames.splits[order], return_inverse=True)
    members = value_positions(frames.starts[order], frames.counts[order])
    members = members[judged.is_kept[members]]
    depths = np.empty(len(members))
    boxes = np.empty((len(members), 4))
    picked = BOX_COLUMNS[judged.decisions["box_order"].choice]
    for start in range(0, len(members), _AT_A_TIME):
        block = slice(start, start + _AT_A_TIME)
        values = frames.values[members[block]]
        boxes[block] = values[:, picked]
        depths[block] = values[:, 4]
    found = archives.entries.take(pa.array(located.rows[order]))
    offsets = list_starts(kept_counts)
    columns: dict[str, Any] = {
        "samples": pa.array(kept_counts.astype(np.int32)),
        "name": judged.stems.filter(chosen),
        "group": judged.names.group_ids.filter(chosen),
        "camera": pa.array(judged.names.cameras[has_members]),
        "time": judged.names.times.filter(chosen),
        "cell": _spell([cells.names[int(bit)] for bit in bits], codes),
        "archive": _spell([file.file for file in archives.sources], found.column("archive").to_numpy()),
        "entry": found.column("name"),
        "person_ids": _lists(offsets, frames.person_ids[members]),
        "boxes": _lists(offsets * 4, boxes.reshape(-1)),
        "depths": _lists(offsets, depths),
    }
    columns |= {field.name: found.column(field.name) for field in FRAME_SCHEMA if field.name not in columns}
    return pa.table([columns[field.name] for field in FRAME_SCHEMA], schema=FRAME_SCHEMA)


def _spell(names: list[str], codes: npt.NDArray[Any]) -> pa.Array:
    """Replace numbers by the names that they stand for."""
    return pa.array(names, pa.string()).take(pa.array(codes))


def _lists(starts: _Int64, values: npt.NDArray[Any]) -> pa.Array:
    if starts[-1] > np.iinfo(np.int32).max:
        raise UsageError(
            f"{starts[-1]} label values: at most 2^31 - 1 are taken at once; convert the archives in parts"
        )
    return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), pa.array(values))
