"""Which crops are lost before any is read, and which labelled members have none."""

import re
from collections.abc import Iterator

import numpy as np

from pipeline.sources.city1m.labels.groups import Groups, find_pairs, pair_codes
from pipeline.sources.city1m.labels.merge import LabelledFrames
from pipeline.sources.city1m.labels.read import Labels, label_where
from pipeline.sources.city1m.lite.crops import Crops
from pipeline.sources.city1m.lite.match import Matched
from pipeline.sources.misplaced import point_to
from shards_spec.rejects import Reject, RejectReason
from shards_spec.storage import Store


def reject_crops(crops: Crops, matched: Matched) -> Iterator[tuple[int, Reject]]:
    """Yield the crops of labelled members that cannot be read, or whose path an earlier crop has, each with its row."""
    is_labelled = matched.members >= 0
    for row, fault in sorted(crops.faults.items()):
        if is_labelled[row]:
            yield row, _reject(crops, row, RejectReason.IMAGE_UNSUPPORTED, fault)
            is_labelled[row] = False
    rows = np.flatnonzero(is_labelled)
    codes = matched.codes[rows]
    firsts = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    firsts[codes[::-1]] = rows[::-1]
    for row in rows[firsts[codes] != rows].tolist():
        detail = f"{crops.where(int(firsts[matched.codes[row]]))} has the same path and is taken"
        yield row, _reject(crops, row, RejectReason.IMAGE_REPEATED, detail)


def _reject(crops: Crops, row: int, reason: RejectReason, detail: str) -> Reject:
    return Reject(reason, crops.where(row), crops.table["image"][row].as_py(), None, 1, detail)


def missing_crops(lines: Labels, frames: LabelledFrames, groups: Groups, matched: Matched) -> Iterator[Reject]:
    """Yield the labelled members without any crop, and those who lack one of a frame of which there are others."""
    has_crop = np.zeros(len(groups.members), bool)
    has_crop[matched.members[matched.members >= 0]] = True
    cropped = np.zeros(len(matched.label_codes), bool)
    cropped[matched.labels[matched.labels >= 0]] = True
    is_first = np.ones(len(cropped), bool)  # a person who is labelled twice in a frame counts once
    is_first[1:] = matched.label_codes[1:] != matched.label_codes[:-1]
    found = matched.label_codes[cropped]
    labels = np.flatnonzero(is_first & np.repeat(matched.frames_with_crops, frames.counts))
    for label in labels[find_pairs(found, matched.label_codes[labels]) < 0].tolist():
        frame = int(matched.label_codes[label]) >> 32
        person_id = int(frames.person_ids[label])
        code = pair_codes(groups.of_frame[[frame]], frames.person_ids[[label]])
        has_crop[find_pairs(groups.members, code)] = True  # this reject is of that member
        where = label_where(lines, int(frames.files[frame]), int(frames.lines[frame]))
        detail = "there are crops of this frame, but none of this member"
        name = groups.stems[frame].as_py()
        yield Reject(RejectReason.IMAGE_MISSING, where, name, person_id, 1, detail)
    ids = groups.ids.to_pylist()
    for member in np.flatnonzero(~has_crop).tolist():
        frame = int(groups.first_frames[member])
        where = label_where(lines, int(frames.files[frame]), int(frames.lines[frame]))
        member_code = int(groups.members[member])
        detail = f"labelled in {groups.frames[member]} frames, but there is no crop"
        yield Reject(RejectReason.IMAGE_MISSING, where, ids[member_code >> 32], member_code & 0xFFFFFFFF, 1, detail)


def missing_sizes(store: Store, groups: Groups, matched: Matched) -> list[str]:
    """Return a sentence for each group size of which no labelled member has a crop."""
    sizes = np.zeros(len(groups.ids), np.int64)
    sizes[groups.of_frame] = groups.names.member_counts
    has_crop = np.zeros(len(groups.ids), bool)
    has_crop[matched.groups[matched.members >= 0]] = True
    sentences = []
    for size in sorted(set(sizes.tolist()) - set(sizes[has_crop].tolist())):
        pattern = re.compile(rf"(?i)images?_{size}(?![0-9]).*")
        sentences.append(
            f"none of the {np.count_nonzero(sizes == size):,} labelled groups of {size} has a crop: Image_{size}_crop "
            f"seems to be missing" + point_to(store, pattern, "move it to the others")
        )
    return sentences
