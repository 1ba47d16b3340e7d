"""The entries of SYSU-30k's tars or unpacked folders, as one table."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.archives import (
    ENTRY_SCHEMA,
    ArchiveError,
    TarStream,
    Tasks,
    entries_sha256,
    find_tars,
    read_folder,
    survey_tars,
)
from pipeline.sources.sysu30k.layout import Layout
from pipeline.sources.sysu30k.options import Sysu30kOptions
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.storage import Store

_TELL_SECONDS = 2.0
"""Shortest time in seconds between two sentences about the progress."""


@dataclass(frozen=True, slots=True)
class Entries:
    """All entries of a source."""

    table: pa.Table
    """The columns of ``ENTRY_SCHEMA``, in the order of the archives, each column in one chunk. Offsets count from the
    beginning of the archive, which may be cut into several files."""
    archive: npt.NDArray[np.int32]
    """The archive of each entry: its position in ``streams``, or among the folders, ``[entries]``."""
    streams: list[TarStream]
    """The archives; empty if the dataset was unpacked."""
    sources: list[SourceFile]
    """The files and folders, for the manifest."""
    gaps: list[str]
    """A sentence for each archive that seems to be cut off, or goes on behind its end."""


def read_entries_of(
    store: Store, layout: Layout, options: Sysu30kOptions, progress: Callable[[str], None], tasks: Tasks
) -> Entries:
    """Survey the archives or folders.

    Raises:
        UsageError: An archive is compressed, damaged or cut off.
    """
    try:
        if layout.tars:
            return _read_tars(store, _streams(store, layout.tars, options), progress, tasks)
        return _read_folders(store, layout, progress)
    except ArchiveError as error:
        raise UsageError(f"{store.url}: {error}") from error


def _read_tars(store: Store, streams: list[TarStream], progress: Callable[[str], None], tasks: Tasks) -> Entries:
    tables, sources, gaps = [], [], []
    meter = _Meter(progress, sum(stream.size for stream in streams))
    for survey in survey_tars(store, streams, tasks=tasks, progress=meter.add):
        stream = survey.stream
        progress(f"{', '.join(stream.paths)}: {survey.entries.num_rows:,} entries")
        tables.append(survey.entries)
        sources += [
            SourceFile(path, size, survey.sha256) for path, size in zip(stream.paths, stream.sizes, strict=True)
        ]
        if survey.joined.end is None:
            gaps.append(f"{stream.paths[-1]} does not end as a tar does: it seems to be cut off; get the file again")
        elif survey.joined.trailing is not None:
            path, byte = stream.place(survey.joined.trailing)
            gaps.append(
                f"{path} goes on behind the end of its archive, at byte {byte}, with what no reader of tars reads"
            )
    return Entries(_join(tables), _codes(tables), streams, sources, gaps)


class _Meter:
    """Tells every few seconds how much of the archives has been scanned."""

    def __init__(self, tell: Callable[[str], None], total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0
        self._started = self._told = time.monotonic()

    def add(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            speed = self._done / (now - self._started) / 1e9
            self._tell(f"{self._done / 1e9:.1f} of {self._total / 1e9:.1f} GB of archives, {speed:.2f} GB/s")


def _streams(store: Store, paths: list[str], options: Sysu30kOptions) -> list[TarStream]:
    """Return the archives, each of one file or of several pieces."""
    if options.tar_parts == "archives":
        return [stream for path in paths for stream in find_tars(store, [path])]
    if options.tar_parts == "pieces":
        sets = [[path for path in paths if part in path.lower()] for part in ("_train_", "_test_")]
        return [TarStream(tuple(some), tuple(store.size(path) for path in some)) for some in sets if some]
    return find_tars(store, paths)


def _read_folders(store: Store, layout: Layout, progress: Callable[[str], None]) -> Entries:
    tables, sources = [], []
    for folder in layout.folders:
        table = read_folder(store, folder)
        progress(f"{folder}: {table.num_rows:,} files")
        size = int(np.sum(table["size"].to_numpy(), dtype=np.int64))
        sources.append(SourceFile(folder, size, entries_sha256([table])))
        tables.append(_below(folder.rpartition("/")[2], table))
    return Entries(_join(tables), _codes(tables), [], sources, [])


def _below(root: str, table: pa.Table) -> pa.Table:
    """Return a table whose folders begin with the root, as those in tars do."""
    folders = table["folder"].unify_dictionaries().combine_chunks()
    codes = folders.chunk(0) if isinstance(folders, pa.ChunkedArray) else folders
    names = pa.array([f"{root}/{folder}" for folder in codes.dictionary.to_pylist()], pa.large_string())
    longer = pa.DictionaryArray.from_arrays(codes.indices, names)
    return table.set_column(0, ENTRY_SCHEMA.field("folder"), longer)


def _join(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([ENTRY_SCHEMA.empty_table(), *tables]).unify_dictionaries().combine_chunks()


def _codes(tables: list[pa.Table]) -> npt.NDArray[np.int32]:
    return np.repeat(np.arange(len(tables), dtype=np.int32), [table.num_rows for table in tables])
