"""From label lines to labelled frames. Several lines may label a frame, but they must say the same."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.samples import Notes
from pipeline.sources.city1m.labels.columns import LineBlock
from pipeline.sources.city1m.labels.ragged import list_starts, value_positions
from pipeline.sources.city1m.labels.read import FileBlock, Labels, label_where
from shards_spec.rejects import NOTE_EXAMPLES, Note

_AT_A_TIME = 1 << 18
"""Members that are compared or judged at once."""

_Int64 = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """The frames that label files name, one row for each, in the order of their first lines."""

    names: pa.Array
    """File names (binary), ``[frames]``."""
    files: npt.NDArray[np.int8]
    """The label file that holds the frame's first line."""
    lines: _Int64
    """The number of the frame's first line in that file, from 1."""
    splits: npt.NDArray[np.uint64]
    """The label files that name the frame, one bit for each file."""
    counts: npt.NDArray[np.int32]
    """Number of members of each frame."""
    starts: _Int64
    """Where each frame's members begin, and where the last one's end, ``[frames + 1]``."""
    person_ids: npt.NDArray[np.int32]
    """Person ids, ``[members]``, ascending within each frame; an id that is labelled twice is repeated."""
    values: npt.NDArray[np.float64]
    """The four box numbers and the depth as in the file, ``[members, 5]``; they may be NaN or infinite."""
    conflicts: dict[int, tuple[int, int]]
    """Frames that are labelled differently: the file and number of the first line that differs from the frame's first
    line, by row."""
    repeated_lines: int
    """Number of lines that repeat what another line of the same file says."""
    first_repeated: list[tuple[int, int]]
    """File and number of the first few of them in each file."""


def merge_lines(labels: Labels) -> LabelledFrames:
    """Merge the lines of each frame, and empty ``labels.blocks``, so that members are not in memory twice.

    Members are compared by id, then value, because their order on a line means nothing. NaN equals NaN.
    """
    blocks = labels.blocks
    if not blocks:
        return _no_frames()
    codes, names = _encode_names(blocks)
    # Codes are assigned in order of first appearance, so a frame's first line is where the running maximum grows.
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
    repeated, first_repeated = 0, []
    for file in range(len(labels.files)):
        rows = _repeated_rows(codes, files == file, fingerprints)
        repeated += len(rows)
        first_repeated += [(file, int(lines[row])) for row in rows[:NOTE_EXAMPLES]]
    return LabelledFrames(
        names=names,
        files=files[is_first],
        lines=lines[is_first],
        splits=splits,
        counts=counts,
        starts=starts,
        person_ids=person_ids,
        values=values,
        conflicts=conflicts,
        repeated_lines=repeated,
        first_repeated=first_repeated,
    )


def note_repeated_lines(notes: Notes, labels: Labels, frames: LabelledFrames) -> None:
    """Note the lines that repeat another one."""
    examples = [label_where(labels, file, line) for file, line in frames.first_repeated]
    notes.add_all(Note.REPEATED_LINE, frames.repeated_lines, examples)


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
        [],
    )


def _encode_names(blocks: list[FileBlock]) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Return each line's frame as a number in order of first appearance, from 0, and the frames' names."""
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
    """Return the rows of ``block`` that differ from their frame's first line, which has been added already."""
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
    """Return a hash of what a line with these members says; equal lines have equal hashes."""
    values = block.values[members] + 0.0  # turns -0.0 into 0.0
    values[np.isnan(values)] = np.nan  # whatever the NaN's sign
    return hashlib.sha256(block.person_ids[members].tobytes() + values.tobytes()).digest()


def _repeated_rows(codes: npt.NDArray[np.int32], is_here: _Bools, fingerprints: dict[int, bytes]) -> list[int]:
    """Return the lines of a file that repeat an earlier one of its lines.

    Args:
        codes: The frame of each line.
        is_here: Which lines are in the file.
        fingerprints: The hash of each line that differs from its frame's first line; all other lines equal it.
    """
    lines = np.flatnonzero(is_here)
    if not len(lines):
        return []
    times = np.bincount(codes[lines])
    if times.max() <= 1:
        return []
    several = lines[times[codes[lines]] > 1]
    said: set[tuple[int, bytes | None]] = set()
    repeated = []
    for line in several.tolist():
        what = int(codes[line]), fingerprints.get(line)
        if what in said:
            repeated.append(line)
        said.add(what)
    return repeated


def are_repeated(frames: LabelledFrames) -> _Bools:
    """Return which members share their id with another member of their frame, ``[members]``."""
    same = frames.person_ids[1:] == frames.person_ids[:-1]
    same[frames.starts[1:-1] - 1] = False  # these two members belong to different frames
    is_repeated = np.zeros(len(frames.person_ids), bool)
    is_repeated[1:] |= same
    is_repeated[:-1] |= same
    return is_repeated


def are_finite(values: npt.NDArray[np.float64]) -> _Bools:
    """Return which rows hold only finite numbers, ``[members]``."""
    is_finite = np.empty(len(values), bool)
    for start in range(0, len(values), _AT_A_TIME):
        block = slice(start, start + _AT_A_TIME)
        is_finite[block] = np.isfinite(values[block]).all(axis=1)
    return is_finite
