"""Which labelled frames and members are lost before any frame is read, and why."""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import MAX_ENTRY_SIZE, unsupported_entries
from pipeline.sources.city1m.full.locate import Located
from pipeline.sources.city1m.labels.merge import LabelledFrames
from pipeline.sources.city1m.labels.names import FRAME_EXTENSION, parse_stems
from pipeline.sources.city1m.labels.read import Labels, label_where
from pipeline.sources.city1m.zips import Archives
from pipeline.sources.misplaced import point_to
from shards_spec.rejects import Reject, RejectReason
from shards_spec.storage import Store

MAX_MEMBERS = 1000
"""Most members of a frame: more than any camera shows. City1M has 2 to 6, but a label line could name 100,000."""

_PLACES_SHOWN = 4
"""Most places of one frame that a reject names."""

_Bools = npt.NDArray[np.bool_]


def stem_of(frames: LabelledFrames, frame: int) -> str:
    """Return a frame's name without its extension."""
    name: bytes = frames.names[frame].as_py()
    return name.decode().removesuffix(FRAME_EXTENSION)


def reject_frames(labels: Labels, frames: LabelledFrames, archives: Archives, located: Located) -> dict[int, Reject]:
    """Yield the frames that are lost as a whole, each with one reject; faults of labels take precedence."""
    rejects: dict[int, Reject] = {}
    for found in (
        _conflicts(labels, frames),
        _crowded(labels, frames),
        _missing(labels, frames, located),
        _repeated(frames, archives, located),
        _unsupported(frames, archives, located),
        _too_large(frames, archives, located),
    ):
        for frame, reject in found:
            rejects.setdefault(frame, reject)
    return rejects


def _conflicts(labels: Labels, frames: LabelledFrames) -> Iterator[tuple[int, Reject]]:
    for frame, (file, line) in frames.conflicts.items():
        lost = int(frames.counts[frame])
        first = label_where(labels, int(frames.files[frame]), int(frames.lines[frame]))
        second = label_where(labels, file, line)
        detail = f"labelled differently in {first}"
        yield frame, Reject(RejectReason.LABEL_CONFLICT, second, stem_of(frames, frame), None, lost, detail)


def _crowded(labels: Labels, frames: LabelledFrames) -> Iterator[tuple[int, Reject]]:
    for frame in np.flatnonzero(frames.counts > MAX_MEMBERS).tolist():
        lost = int(frames.counts[frame])
        where = label_where(labels, int(frames.files[frame]), int(frames.lines[frame]))
        detail = f"labelled with {lost} members: at most {MAX_MEMBERS} are taken"
        yield frame, Reject(RejectReason.IMAGE_CROWDED, where, stem_of(frames, frame), None, lost, detail)


def _missing(labels: Labels, frames: LabelledFrames, located: Located) -> Iterator[tuple[int, Reject]]:
    rows = np.flatnonzero(located.rows < 0)
    names = frames.names.take(rows).to_pylist()  # there can be very many, because an archive may be missing
    details = {count: f"labelled with {count} members, in no archive" for count in set(frames.counts[rows].tolist())}
    files, lines, counts = (column[rows].tolist() for column in (frames.files, frames.lines, frames.counts))
    for row, name, file, line, count in zip(rows.tolist(), names, files, lines, counts, strict=True):
        where = label_where(labels, file, line)
        stem = name.decode().removesuffix(FRAME_EXTENSION)
        yield row, Reject(RejectReason.IMAGE_MISSING, where, stem, None, count, details[count])


def _repeated(frames: LabelledFrames, archives: Archives, located: Located) -> Iterator[tuple[int, Reject]]:
    for frame, rows in located.repeated.items():
        detail = " and ".join(archives.where(row) for row in rows[:_PLACES_SHOWN])
        if len(rows) > _PLACES_SHOWN:
            detail += f" and {len(rows) - _PLACES_SHOWN} more"
        where, lost = archives.where(rows[1]), int(frames.counts[frame])
        yield frame, Reject(RejectReason.IMAGE_REPEATED, where, stem_of(frames, frame), None, lost, detail)


def _unsupported(frames: LabelledFrames, archives: Archives, located: Located) -> Iterator[tuple[int, Reject]]:
    faults = dict(unsupported_entries(archives.entries))
    rows = np.array(sorted(faults), np.int64)
    for frame in np.flatnonzero(np.isin(located.rows, rows)).tolist():
        row = int(located.rows[frame])
        stem, lost = stem_of(frames, frame), int(frames.counts[frame])
        yield frame, Reject(RejectReason.IMAGE_UNSUPPORTED, archives.where(row), stem, None, lost, faults[row])


def _too_large(frames: LabelledFrames, archives: Archives, located: Located) -> Iterator[tuple[int, Reject]]:
    sizes = pc.max_element_wise(archives.entries.column("size"), archives.entries.column("compressed_size")).to_numpy()
    found = np.flatnonzero(located.rows >= 0)
    for frame in found[sizes[located.rows[found]] > MAX_ENTRY_SIZE].tolist():
        row = int(located.rows[frame])
        detail = f"the entry takes {sizes[row]} bytes: at most {MAX_ENTRY_SIZE} are taken"
        stem, lost = stem_of(frames, frame), int(frames.counts[frame])
        yield frame, Reject(RejectReason.IMAGE_TOO_LARGE, archives.where(row), stem, None, lost, detail)


def reject_members(
    labels: Labels, frames: LabelledFrames, is_lost: _Bools, reason: RejectReason, box_order: str | None = None
) -> Iterator[Reject]:
    """Yield a reject for each member that ``is_lost`` (``[members]``) marks, all for the same reason."""
    for member in np.flatnonzero(is_lost).tolist():
        frame = int(np.searchsorted(frames.starts, member, side="right")) - 1
        yield Reject(
            reason,
            label_where(labels, int(frames.files[frame]), int(frames.lines[frame])),
            stem_of(frames, frame),
            int(frames.person_ids[member]),
            1,
            _describe(frames.values[member].tolist(), box_order),
        )


def _describe(values: list[float], box_order: str | None) -> str:
    *box, depth = map(str, values)
    named = "" if box_order is None else f" ({', '.join(box_order)})"
    return f"box{named} {', '.join(box)}; depth {depth}"


def missing_archives(store: Store, frames: LabelledFrames, archives: Archives, located: Located) -> list[str]:
    """Return a sentence for each group size of which no labelled frame is in an archive."""
    is_found = located.rows >= 0
    if is_found.all():
        return []
    stems = pc.binary_slice(frames.names, 0, -len(FRAME_EXTENSION)).cast(pa.string())
    member_counts = parse_stems(stems).member_counts
    counts, times = np.unique(member_counts[~is_found], return_counts=True)
    is_missing = ~np.isin(counts, member_counts[is_found])
    taken = {source.file for source in archives.sources}
    sentences = []
    for count, number in zip(counts[is_missing].tolist(), times[is_missing].tolist(), strict=True):
        archive = f"Images_{count}.zip"
        pattern = re.compile(rf"(?i)images_{count}(?![0-9]).*")
        why = (
            f"{archive} is there, but holds none of them"
            if archive in taken
            else f"{archive} seems to be missing" + point_to(store, pattern, "move it to the others", taken)
        )
        sentences.append(f"none of the {number:,} labelled frames of groups of {count} is in an archive: {why}")
    return sentences
