"""The survey of City1M-Lite: labels and crops are joined by group and member, or by frame and member."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives.table import split_paths
from pipeline.samples import Notes
from pipeline.sources.catalog import Catalog, first_reject
from pipeline.sources.city1m.labels.cells import name_cells
from pipeline.sources.city1m.labels.decisions import (
    BOX_COLUMNS,
    MemberIds,
    check_group_counts,
    decide_box_order,
    decide_identity_scope,
)
from pipeline.sources.city1m.labels.groups import Groups, list_groups
from pipeline.sources.city1m.labels.merge import (
    LabelledFrames,
    are_finite,
    are_repeated,
    merge_lines,
    note_repeated_lines,
)
from pipeline.sources.city1m.labels.read import empty_splits, missing_splits, read_labels
from pipeline.sources.city1m.lite import CITY1M_LITE
from pipeline.sources.city1m.lite.crops import Crops, read_crops
from pipeline.sources.city1m.lite.losses import missing_crops, missing_sizes, reject_crops
from pipeline.sources.city1m.lite.match import Matched, match_crops
from pipeline.sources.city1m.lite.rows import CROP_SCHEMA
from pipeline.sources.city1m.options import City1MOptions
from pipeline.sources.matching import Paths
from pipeline.sources.unique_keys import are_unique
from shards_spec.errors import UsageError
from shards_spec.manifest import Account, Decision
from shards_spec.rejects import Note
from shards_spec.storage import Store
from shards_spec.variants.city1m.names import LITE

_Bools = npt.NDArray[np.bool_]
_Int64 = npt.NDArray[np.int64]


def survey_city1m_lite(
    source: Store, labels: Store, options: City1MOptions, progress: Callable[[str], None]
) -> Catalog:
    """Find out what a folder of City1M-Lite holds.

    Args:
        source: The store with the folders and zips of crops at its top.
        labels: The store with the label files at its top, which may be the same.
        options: The own options of such a source.
        progress: A function that is called with a sentence about the progress now and then.

    Raises:
        UsageError: There are no labels, no crops, or nothing that is in both; a zip cannot be read; the box order or
            the identity scope is not clear; a group id stands for two groups.
        OSError: A store reports a fault.
    """
    lines = read_labels(labels, progress)
    frames = merge_lines(lines)
    if not len(frames.counts):
        raise UsageError(
            f"{labels.url}: none of the {lines.lines} label lines labels a frame{first_reject(lines.rejects)}"
        )
    groups = list_groups(frames)
    has_box = usable_boxes(frames)
    decisions = decide(options, frames, groups, has_box)
    crops = read_crops(source, progress)
    matched = match_crops(crops, frames, groups)
    lost = list(reject_crops(crops, matched))
    is_kept = matched.members >= 0
    is_kept[[row for row, _ in lost]] = False
    kept = np.flatnonzero(is_kept)
    rejects = [*lines.rejects, *(reject for _, reject in lost), *missing_crops(lines, frames, groups, matched)]
    if not len(kept):
        raise UsageError(
            f"{source.url}: nothing to convert: no crop of a labelled member is left{first_reject(rejects)}"
        )
    boxes = _Boxes(frames, has_box, decisions["box_order"].choice)
    bits = np.where(matched.frames >= 0, frames.splits[matched.frames], groups.splits[matched.groups])[kept]
    cells = name_cells(lines.files, np.unique(bits).tolist())
    table = _build_table(crops, matched, groups, boxes, kept, _coded(bits, cells.names))
    rejected = sum(reject.samples for reject in rejects)
    notes = Notes()
    notes.update(lines.notes.total())
    notes.update(crops.notes.total())
    note_repeated_lines(notes, lines, frames)
    _note_matches(notes, crops, frames, groups, matched)
    is_unknown = (matched.frames[kept] >= 0) & ~boxes.are_known(matched.labels[kept])
    notes.add_rows(Note.BOX_UNKNOWN, is_unknown, lambda row: crops.where(int(kept[row])))
    return Catalog(
        source=CITY1M_LITE,
        rows=table,
        protocols=cells.protocols,
        cell_splits=cells.cell_splits,
        dataset=LITE,
        archives=crops.sources,
        labels=lines.sources,
        decisions=decisions,
        accounts={"crops": Account(len(kept) + rejected, len(kept), rejected)},
        rejects=rejects,
        notes=notes.total(),
        gaps=[
            *lines.gaps,
            *missing_splits(labels, lines.files),
            *empty_splits(lines.files, cells.protocols),
            *missing_sizes(source, groups, matched),
        ],
    )


def usable_boxes(frames: LabelledFrames) -> _Bools:
    """Return of which labels the box counts: no other line contradicts it, and all of its numbers are finite."""
    in_doubt = np.zeros(len(frames.counts), bool)
    in_doubt[list(frames.conflicts)] = True
    return ~np.repeat(in_doubt, frames.counts) & ~are_repeated(frames) & are_finite(frames.values)


def decide(options: City1MOptions, frames: LabelledFrames, groups: Groups, has_box: _Bools) -> dict[str, Decision]:
    """Decide how to read boxes and ids.

    Args:
        options: The options, which may say it.
        frames: The labelled frames.
        groups: Their groups.
        has_box: Of which labels the box counts, ``[labels]``.

    Raises:
        UsageError: It is not clear, or a group id stands for two groups.
    """
    check_group_counts(groups.of_frame, groups.names.member_counts, groups.stems)
    members = MemberIds(
        frames.person_ids[has_box],
        np.repeat(groups.of_frame, frames.counts)[has_box],
        np.repeat(groups.names.member_counts, frames.counts)[has_box],
    )
    return {
        "box_order": decide_box_order(options.box_order, frames.values, has_box, None),
        "identity_scope": decide_identity_scope(options.identity_scope, members),
    }


class _Boxes:
    """The box and the depth of each label, where they count."""

    def __init__(self, frames: LabelledFrames, has_box: _Bools, order: str) -> None:
        self._values = frames.values
        self._has_box = has_box
        self._columns = BOX_COLUMNS[order]

    def are_known(self, labels: _Int64) -> _Bools:
        """Return whether the boxes of labels, -1 for none, are known."""
        known: _Bools = (labels >= 0) & self._has_box[labels]
        return known

    def columns(self, labels: _Int64) -> tuple[pa.Array, pa.Array]:
        """Return the depths and the boxes of labels as columns of the catalog."""
        known = self.are_known(labels)
        depths = pa.array(self._values[labels, 4], mask=~known)
        boxes = self._values[labels[known]][:, self._columns]
        offsets = np.concatenate([[0], np.cumsum(4 * known)]).astype(np.int32)
        return depths, pa.ListArray.from_arrays(pa.array(offsets), pa.array(boxes.reshape(-1)))


def _build_table(
    crops: Crops, matched: Matched, groups: Groups, boxes: _Boxes, kept: _Int64, cells: pa.DictionaryArray
) -> pa.Table:
    """Return the rows of the catalog for the crops in ``kept``, whose cells are ``cells``."""
    taken = crops.table.take(pa.array(kept))
    images = taken["image"].combine_chunks()
    folders, names = split_paths(images)
    frames, members, of_group = matched.frames[kept], matched.members[kept], matched.groups[kept]
    no_frame, some_frame = frames < 0, pa.array(np.maximum(frames, 0))
    depths, box = boxes.columns(matched.labels[kept])
    columns: dict[str, Any] = {
        "cell": cells,
        "group": pa.DictionaryArray.from_arrays(
            pa.array(of_group.astype(np.int32)), groups.ids.cast(pa.large_string())
        ),
        "samples": pa.array(np.ones(len(kept), np.int8)),
        "has_own_key": pa.array(are_unique(Paths(folders.dictionary_encode(), names)).view(np.uint8)),
        "person_id": pa.array(crops.person_ids[kept].astype(np.int32)),
        "frames": pa.array(groups.frames[members].astype(np.int32)),
        "members": pa.array(groups.persons[of_group].astype(np.int32)),
        "frame": pc.if_else(pa.array(no_frame), None, groups.stems.take(some_frame)).cast(pa.large_string()),
        "camera": pa.array(groups.names.cameras[frames], mask=no_frame),
        "time": pc.if_else(pa.array(no_frame), None, groups.names.times.take(some_frame)),
        "depth": depths,
        "box": box,
    }
    columns |= {field.name: taken[field.name] for field in CROP_SCHEMA if field.name not in columns}
    table = pa.table([columns[field.name] for field in CROP_SCHEMA], schema=CROP_SCHEMA)
    return table.unify_dictionaries().combine_chunks()


def _coded(codes: npt.NDArray[np.uint64], names: dict[int, str]) -> pa.DictionaryArray:
    distinct, numbers = np.unique(codes, return_inverse=True)
    spelled = pa.array([names[int(code)] for code in distinct], pa.large_string())
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int32)), spelled)


def _note_matches(notes: Notes, crops: Crops, frames: LabelledFrames, groups: Groups, matched: Matched) -> None:
    """Note what is odd about labels and crops."""

    def frame(row: int) -> str:
        return str(groups.stems[row].as_py())

    def group(row: int) -> str:
        return str(groups.ids[row].as_py())

    notes.add_rows(Note.IMAGE_UNLABELLED, matched.members < 0, crops.where)
    notes.add_rows(Note.MEMBER_COUNT_DIFFERS, frames.counts != groups.names.member_counts, frame)
    notes.add_all(Note.LABELS_DIFFER, len(frames.conflicts), map(frame, sorted(frames.conflicts)))
    notes.add_rows(Note.FRAME_WITHOUT_CROP, matched.frames_without_crop, frame)
    notes.add_rows(Note.GROUP_SPLITS_DIFFER, groups.splits_differ, group)
    notes.add_all(Note.GROUP_RESPELLED, len(matched.respelled_groups), map(group, matched.respelled_groups))
