"""What labels say of groups and their members, over all frames that show them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.city1m.labels.merge import LabelledFrames
from pipeline.sources.city1m.labels.names import FRAME_EXTENSION, FrameNames, parse_stems

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups, with a row for each, and their members, with a row for each person of a group."""

    names: FrameNames
    """What the frames' names say, ``[frames]``."""
    stems: pa.Array
    """The frames' names without extension (strings), ``[frames]``."""
    of_frame: npt.NDArray[np.int32]
    """The group of each frame, ``[frames]``."""
    ids: pa.Array
    """Group ids as spelled (strings), ``[groups]``."""
    splits: npt.NDArray[np.uint64]
    """The label files that name any frame of the group, one bit for each file, ``[groups]``."""
    splits_differ: npt.NDArray[np.bool_]
    """Whether the frames of the group are not all named by the same label files, ``[groups]``."""
    persons: _Int64
    """Number of the group's members, ``[groups]``."""
    members: _Int64
    """The group in the upper 32 bits and the person id in the lower ones, ascending, ``[members]``."""
    frames: _Int64
    """Number of frames in which each member is labelled, ``[members]``."""
    first_frames: _Int64
    """The first frame in which each member is labelled, ``[members]``."""


def list_groups(frames: LabelledFrames) -> Groups:
    """Gather the groups of labelled frames and their members. A person who is labelled twice in a frame counts once."""
    stems = pc.binary_slice(frames.names, 0, -len(FRAME_EXTENSION)).cast(pa.string())
    names = parse_stems(stems)
    encoded = names.group_ids.dictionary_encode()
    of_frame = encoded.indices.to_numpy()
    count = len(encoded.dictionary)
    splits = np.zeros(count, np.uint64)
    np.bitwise_or.at(splits, of_frame, frames.splits)
    differs = np.zeros(count, bool)
    differs[of_frame[frames.splits != splits[of_frame]]] = True
    frame_of_value = np.repeat(np.arange(len(frames.counts)), frames.counts)
    is_first = np.ones(len(frames.person_ids), bool)
    is_first[1:] = pair_codes(frame_of_value[1:], frames.person_ids[1:]) != pair_codes(
        frame_of_value[:-1], frames.person_ids[:-1]
    )
    values = np.flatnonzero(is_first)
    codes = pair_codes(of_frame[frame_of_value[values]], frames.person_ids[values])
    members, first, times = np.unique(codes, return_index=True, return_counts=True)
    return Groups(
        names=names,
        stems=stems,
        of_frame=of_frame,
        ids=encoded.dictionary,
        splits=splits,
        splits_differ=differs,
        persons=np.bincount(members >> 32, minlength=count),
        members=members,
        frames=times,
        first_frames=frame_of_value[values[first]],
    )


def pair_codes(upper: npt.NDArray[Any], lower: npt.NDArray[Any]) -> _Int64:
    """Return numbers of which the upper 32 bits are one number from 0 to 2^31 - 1, and the lower ones another."""
    codes: _Int64 = upper.astype(np.int64) << 32 | lower.astype(np.int64)
    return codes


def find_pairs(codes: _Int64, wanted: _Int64) -> _Int64:
    """Return the position of each wanted number among ascending ones; -1 where it is not there."""
    if not len(codes):
        return np.full(len(wanted), -1, np.int64)
    places = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[places] == wanted, places, -1)
