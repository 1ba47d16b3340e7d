"""Which labelled group, member and frame each crop shows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.city1m.labels.groups import Groups, find_pairs, pair_codes
from pipeline.sources.city1m.labels.merge import LabelledFrames
from pipeline.sources.city1m.labels.names import LARGEST_PERSON_ID
from pipeline.sources.city1m.lite.crops import Crops

_Bools = npt.NDArray[np.bool_]
_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matched:
    """What crops show by the labels, with a row for each crop."""

    groups: _Int64
    """The group; -1 if it is not labelled, ``[crops]``."""
    members: _Int64
    """The member of the group; -1 if nobody labels it there, ``[crops]``."""
    frames: _Int64
    """The labelled frame that the crop's path names; -1 if it names none, ``[crops]``."""
    labels: _Int64
    """The member's label in that frame, as its position among all labels; -1 without a frame, ``[crops]``."""
    codes: _Int64
    """Numbers that are equal exactly for crops with the same path, ``[crops]``. The spelling of the folder of crops
    does not matter: ``Images_2_crop/0009501/0.jpg`` is ``Image_2_crop/0009501/0.jpg``."""
    respelled_groups: list[int]
    """The groups, ascending, whose folders have other zeros in front than their ids in the labels."""
    label_codes: _Int64
    """The frame in the upper 32 bits and the person id in the lower ones, ascending, ``[labels]``."""
    frames_with_crops: _Bools
    """Which frames some crop of a labelled member names, ``[frames]``."""
    frames_without_crop: _Bools
    """Which frames no crop names, although one names another frame of their group, ``[frames]``."""


def match_crops(crops: Crops, frames: LabelledFrames, groups: Groups) -> Matched:
    """Join crops with the labels: by frame and member if the path names a frame, and otherwise by group and member."""
    persons = np.where(crops.person_ids <= LARGEST_PERSON_ID, crops.person_ids, 0)
    of_frame = _positions(crops.frames, groups.stems)
    of_group, respelled = _find_groups(crops.groups, groups.ids)
    names_frame = crops.frames.is_valid().to_numpy(zero_copy_only=False)
    of_group = np.where(of_frame >= 0, groups.of_frame[of_frame], of_group)

    label_codes = pair_codes(np.repeat(np.arange(len(frames.counts)), frames.counts), frames.person_ids)
    labels = np.where(of_frame >= 0, find_pairs(label_codes, pair_codes(np.maximum(of_frame, 0), persons)), -1)
    members = find_pairs(groups.members, pair_codes(np.maximum(of_group, 0), persons))
    is_labelled = (of_group >= 0) & (crops.person_ids <= LARGEST_PERSON_ID) & (~names_frame | (labels >= 0))
    members = np.where(is_labelled, members, -1)

    with_crops = np.zeros(len(frames.counts), bool)
    with_crops[of_frame[(of_frame >= 0) & (members >= 0)]] = True
    has_frame_crops = np.zeros(len(groups.ids), bool)
    has_frame_crops[groups.of_frame[with_crops]] = True
    return Matched(
        groups=of_group,
        members=members,
        frames=of_frame,
        labels=labels,
        codes=_path_codes(crops.table["image"]),
        respelled_groups=np.unique(of_group[respelled & (members >= 0)]).tolist(),
        label_codes=label_codes,
        frames_with_crops=with_crops,
        frames_without_crop=has_frame_crops[groups.of_frame] & ~with_crops,
    )


def _positions(texts: Any, values: Any) -> _Int64:
    """Return the position of each text among the values; -1 where it is not there or null."""
    found = pc.index_in(texts, value_set=values, skip_nulls=True)
    positions: _Int64 = found.fill_null(-1).to_numpy().astype(np.int64)
    return positions


def _find_groups(folders: pa.Array, ids: pa.Array) -> tuple[_Int64, _Bools]:
    """Return the group of each folder, -1 if there is none, and for which of them the zeros in front differ.

    A folder that is no group's id stands for the group whose id is the same number, if there is only one.
    """
    exact = _positions(folders, ids)
    numbers, of_ids = (pc.utf8_ltrim(texts, "0") for texts in (folders, ids))
    encoded = of_ids.dictionary_encode()
    codes = encoded.indices.to_numpy()
    times = np.bincount(codes, minlength=len(encoded.dictionary))
    last = np.zeros(len(encoded.dictionary), np.int64)
    last[codes] = np.arange(len(codes))
    alone = np.where(times == 1, last, -1)
    by_number = _positions(numbers, encoded.dictionary)
    respelled = (exact < 0) & (by_number >= 0) & (alone[by_number] >= 0)
    return np.where(respelled, alone[by_number], exact), respelled


def _path_codes(images: Any) -> _Int64:
    plain = pc.replace_substring_regex(images, r"^(?i:images?)(_[0-9]+_)(?i:crop)/", r"\1/")
    encoded = plain.combine_chunks().dictionary_encode()
    codes: _Int64 = encoded.indices.to_numpy().astype(np.int64)
    return codes
