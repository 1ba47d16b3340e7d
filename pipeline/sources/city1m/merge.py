"""From label lines to labelled frames: a frame may stand on several lines, which must say the same."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.city1m.columns import LineBlock
from pipeline.sources.city1m.labels import FileBlock, Labels
from pipeline.sources.city1m.ragged import list_starts, value_positions

_AT_A_TIME = 1 << 18
"""Members compared at once."""

_Int64 = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """The frames that label files name, a row a frame in the order of their first lines; what those lines say."""

    names: pa.Array
    """Binary: file names."""
    files: npt.NDArray[np.int8]
    """Which label file the first line stands in."""
    lines: _Int64
    """Its number there, from 1."""
    splits: npt.NDArray[np.uint64]
    """The label files that the frame stands in, a bit a file."""
    counts: npt.NDArray[np.int32]
    """Members a frame."""
    starts: _Int64
    """``[frames + 1]``: where the frames' members begin."""
    person_ids: npt.NDArray[np.int32]
    """``[members]``, rising in each frame; equal where an id stands twice."""
    values: npt.NDArray[np.float64]
    """``[members, 5]``: four box numbers and the depth, as they stand in the file; may be NaN or infinite."""
    conflicts: dict[int, tuple[int, int]]
    """Frames labelled differently: row to file and number of the first line that differs from the frame's first."""
    repeated_lines: int
    """Lines that say what another line of the same file said."""


def merge_lines(labels: Labels) -> LabelledFrames:
    """Bring the lines of each frame together. Empties ``labels.blocks``, so that members are not held twice.

    Members are compared by id, then value: their order on a line means nothing; NaN equals NaN.
    """
    blocks = labels.blocks
    if not blocks:
        return _no_frames()
    codes, names = _encode_names(blocks)
    # Codes are given in the order of first appearance, so a frame's first line is where the largest code so far grows.
    is_first = np.diff(np.maximum.accumulate(codes), prepend=-1) > 0
    line_counts = np.concatenate([located.block.counts for located in blocks])
    counts = line_counts[is_first]
    starts = list_starts(counts)
    files = np.repeat(
        np.array([located.file for located in blocks], np.int8), [len(located.block.counts) for located in blocks]
    )
    lines = np.concatenate([located.first_line + located.block.line_numbers for located in blocks])
    splits = np.zeros(len(counts), np.uint64)
    for file in range(len(labels.files)):
        splits[codes[files == file]] |= np.uint64(1 << file)

    person_ids = np.empty(starts[-1], np.int32)
    values = np.empty((starts[-1], 5))
    differing: list[int] = []
    fingerprints: dict[int, bytes] = {}
    blocks.reverse()
    next_line = next_member = 0
    while blocks:
        block = blocks.pop().block
        here = slice(next_line, next_line + len(block.counts))
        members = np.repeat(is_first[here], block.counts)
        stop = next_member + int(np.count_nonzero(members))
        person_ids[next_member:stop] = block.person_ids[members]
        values[next_member:stop] = block.values[members]
        next_member = stop
        row_starts = list_starts(block.counts)
        for row in _differing_rows(block, row_starts, codes[here], is_first[here], starts, person_ids, values):
            differing.append(next_line + row)
            fingerprints[next_line + row] = _fingerprint(block, slice(row_starts[row], row_starts[row + 1]))
        next_line = here.stop

    conflicts: dict[int, tuple[int, int]] = {}
    for line in differing:
        conflicts.setdefault(int(codes[line]), (int(files[line]), int(lines[line])))
    repeated = sum(_count_repeated(codes, files == file, fingerprints) for file in range(len(labels.files)))
    return LabelledFrames(
        names, files[is_first], lines[is_first], splits, counts, starts, person_ids, values, conflicts, repeated
    )


def _no_frames() -> LabelledFrames:
    none = np.zeros(0, np.int64)
    return LabelledFrames(
        pa.array([], pa.binary()),
        none.astype(np.int8),
        none,
        none.astype(np.uint64),
        none.astype(np.int32),
        np.zeros(1, np.int64),
        none.astype(np.int32),
        np.zeros((0, 5)),
        {},
        0,
    )


def _encode_names(blocks: list[FileBlock]) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Each line's frame as a number from 0 in the order of first appearance, and the frames' names."""
    encoded = pa.chunked_array([located.block.names for located in blocks]).dictionary_encode()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return codes, encoded.chunk(encoded.num_chunks - 1).dictionary


def _differing_rows(
    block: LineBlock,
    row_starts: _Int64,
    codes: npt.NDArray[np.int32],
    is_first: _Bools,
    starts: _Int64,
    person_ids: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
) -> list[int]:
    """The rows of ``block`` that say something else than their frame's first line, which is among the frames."""
    rows = np.flatnonzero(~is_first)
    frames = codes[rows]
    is_equal = block.counts[rows] == starts[frames + 1] - starts[frames]
    counted = np.flatnonzero(is_equal)
    step = max(1, _AT_A_TIME // max(1, int(block.counts.max())))
    for begin in range(0, len(counted), step):
        chosen = counted[begin : begin + step]
        counts = block.counts[rows[chosen]]
        here = value_positions(row_starts[rows[chosen]], counts)
        there = value_positions(starts[frames[chosen]], counts)
        ours, theirs = block.values[here], values[there]
        is_same = (ours == theirs).all(axis=1) & (block.person_ids[here] == person_ids[there])
        if not is_same.all():
            odd = np.flatnonzero(~is_same)
            same_or_nan = (ours[odd] == theirs[odd]) | (np.isnan(ours[odd]) & np.isnan(theirs[odd]))
            is_same[odd] = same_or_nan.all(axis=1) & (block.person_ids[here[odd]] == person_ids[there[odd]])
            is_equal[np.repeat(chosen, counts)[~is_same]] = False
    return [int(row) for row in rows[~is_equal]]


def _fingerprint(block: LineBlock, members: slice) -> bytes:
    """A hash of what a line with these members says, the same for equal lines."""
    values = block.values[members] + 0.0  # makes -0.0 to 0.0
    values[np.isnan(values)] = np.nan  # whatever its sign
    return hashlib.sha256(block.person_ids[members].tobytes() + values.tobytes()).digest()


def _count_repeated(codes: npt.NDArray[np.int32], is_here: _Bools, fingerprints: dict[int, bytes]) -> int:
    """How many lines of a file say what another of its lines said.

    Args:
        codes: The frame of each line.
        is_here: Which lines stand in the file.
        fingerprints: Of each line that differs from its frame's first line; the others are equal to that.
    """
    lines = np.flatnonzero(is_here)
    if not len(lines):
        return 0
    times = np.bincount(codes[lines])
    if times.max() <= 1:
        return 0
    several = lines[times[codes[lines]] > 1]
    said = Counter((int(codes[line]), fingerprints.get(line)) for line in several.tolist())
    return sum(times - 1 for times in said.values())
