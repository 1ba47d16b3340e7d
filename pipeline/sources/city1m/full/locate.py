"""Where the labelled frames lie: zip directories are joined with the labels by frame name."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import ZipDirectory, read_zip_directory
from pipeline.sources.city1m.full.recognise import NEARLY_ARCHIVE, NO_ARCHIVE
from pipeline.sources.city1m.labels.names import are_frame_files, base_names
from pipeline.sources.misplaced import point_to, refuse_special
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Note
from shards_spec.storage import Store

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Archives:
    """All entries of all archives."""

    sources: list[SourceFile]
    """The archives, sorted by path."""
    entries: pa.Table
    """The columns of ``ZipDirectory.entries``, and ``archive`` (int32), the position of the archive in ``sources``.
    Rows are sorted by archive, then in the directory's order."""
    notes: Counter[str]
    """Count by ``Note``."""

    def path(self, row: int) -> str:
        """Return the path of an entry's archive."""
        number: int = self.entries.column("archive")[row].as_py()
        return self.sources[number].file

    def where(self, row: int) -> str:
        """Return an entry's place in the form that rejects use."""
        return f"{self.path(row)}:{self.entries.column('name')[row].as_py()}"


@dataclass(frozen=True, slots=True)
class Located:
    """The archives' entries that are labelled frames, and counts of the others."""

    rows: _Int64
    """Row of each frame's entry, ``[frames]``; -1 if it has none."""
    repeated: dict[int, list[int]]
    """The rows of the entries, sorted by archive and offset, of each frame whose name several entries have."""
    notes: dict[str, int]
    """Count by ``Note``."""


def read_archives(store: Store, progress: Callable[[str], None] | None = None) -> Archives:
    """Read the directories of all zip archives at the top of ``store``.

    Two archives of the same size with equal directories are one archive that was downloaded twice. Only the one with
    the shorter name is used, and a note is made.

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
    taken: dict[tuple[int, str], ZipDirectory] = {}
    for path in sorted(paths, key=lambda path: (len(path), path)):
        try:
            path.encode()
        except UnicodeEncodeError as error:  # neither the manifest nor the rejects could contain the name
            raise UsageError(f"{store.url}: the archive's name {path!r} is not UTF-8: rename it") from error
        directory = read_zip_directory(store, path)
        first = taken.setdefault((directory.size, directory.sha256), directory)
        if progress is not None:
            what = f"{directory.entries.num_rows:,} entries"
            progress(f"{path}: {what if first is directory else f'the same archive as {first.path}'}")
    directories = sorted(taken.values(), key=lambda directory: directory.path)
    tables = []
    for number, directory in enumerate(directories):
        archive = pa.repeat(pa.scalar(number, pa.int32()), directory.entries.num_rows)
        tables.append(directory.entries.append_column(pa.field("archive", pa.int32(), nullable=False), archive))
    return Archives(
        [SourceFile(directory.path, directory.size, directory.sha256) for directory in directories],
        pa.concat_tables(tables).combine_chunks(),
        Counter({Note.ARCHIVE_REPEATED: len(paths) - len(taken)}),
    )


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
    return Located(rows, _find_repeated(frames, times, archives), _count_others(files, frames < 0))


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


def _count_others(files: Any, is_other: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Count the entries that are not labelled frames."""
    others = files.filter(pa.array(is_other))
    unlabelled = pc.sum(are_frame_files(others)).as_py() or 0
    counts = {Note.IMAGE_UNLABELLED: unlabelled, Note.ENTRY_IGNORED: len(others) - unlabelled}
    return {note: count for note, count in counts.items() if count}
