"""Where the labelled frames lie: zip directories are joined with the labels by frame name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.city1m.full.recognise import NEARLY_ARCHIVE, NO_ARCHIVE
from pipeline.sources.city1m.labels.names import are_frame_files, base_names
from pipeline.sources.city1m.zips import Archives, read_directories
from pipeline.sources.misplaced import point_to, refuse_special
from shards_spec.errors import UsageError
from shards_spec.storage import Store

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Located:
    """The archives' entries that are labelled frames, and which the others are."""

    rows: _Int64
    """Row of each frame's entry, ``[frames]``; -1 if it has none."""
    repeated: dict[int, list[int]]
    """The rows of the entries, sorted by archive and offset, of each frame whose name several entries have."""
    is_unlabelled: npt.NDArray[np.bool_]
    """Which entries are frames by their names, but not labelled, ``[entries]``."""
    is_ignored: npt.NDArray[np.bool_]
    """Which entries are anything else, ``[entries]``."""


def read_archives(store: Store, progress: Callable[[str], None] | None = None) -> Archives:
    """Read the directories of all zip archives at the top of ``store``. See ``read_directories``.

    Raises:
        UsageError: There is none, or one cannot be read.
    """
    paths = []
    for info in store.list_top():
        if info.path.lower().endswith(".zip"):
            refuse_special(store, info)
            paths.append(info.path)
    if not paths:
        raise UsageError(
            f"{store.url}: {NO_ARCHIVE}"
            + (point_to(store, NEARLY_ARCHIVE, "name that folder as SRC") or ": name the folder that holds the zips")
        )
    return read_directories(store, paths, progress)


def locate_frames(names: Any, archives: Archives) -> Located:
    """Find the frames' entries.

    Args:
        names: Unique file names as a binary array, ``[frames]``.
        archives: The archives to search; folders in the entries' names do not matter.
    """
    files = base_names(archives.entries.column("name"))
    found = pc.index_in(files, value_set=names.cast(pa.string()))
    frames = found.combine_chunks().fill_null(-1).to_numpy()
    labelled = np.flatnonzero(frames >= 0)
    rows = np.full(len(names), -1, np.int64)
    rows[frames[labelled[::-1]]] = labelled[::-1]  # the first of several is written last, so it wins
    times = np.bincount(frames[labelled], minlength=len(names))
    is_frame = are_frame_files(files).to_numpy(zero_copy_only=False)
    is_other = frames < 0
    return Located(rows, _find_repeated(frames, times, archives), is_other & is_frame, is_other & ~is_frame)


def _find_repeated(frames: npt.NDArray[np.int32], times: _Int64, archives: Archives) -> dict[int, list[int]]:
    """Return the entries' rows of each frame that has several entries."""
    repeated: dict[int, list[int]] = {}
    if times.max(initial=0) <= 1:
        return repeated
    several = np.flatnonzero((frames >= 0) & (times[frames] > 1))
    offsets = archives.entries.column("offset").to_numpy()[several]
    archive = archives.entries.column("archive").to_numpy()[several]
    for row in several[np.lexsort((offsets, archive))].tolist():
        repeated.setdefault(int(frames[row]), []).append(row)
    return repeated
