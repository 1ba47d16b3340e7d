"""The index of a set as all processes of a node share it: files of plain rows, mapped into memory.

Parquet is small on disk and large in memory. The columns that reading needs are therefore written once, uncompressed,
into a folder that is named after the digests of the cells' indexes and appears by one rename. The page cache then holds
them once, however many processes read.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.manifest import Manifest, ShardFile
from shards_spec.manifest_read import decode_manifest
from shards_spec.storage import ReadableStore
from shards_spec.stream.checked_files import DamagedError, FileSum, map_checked, read_small, seal, sum_file, unseal
from shards_spec.stream.cleanup import HELD_FILE, hold, sweep
from shards_spec.stream.index_format import (
    KEYS_FILE,
    LABELS_FILE,
    MORE_FILE,
    MORE_FILES_FILE,
    ROWS_FILE,
    SHAPE_FILE,
    SUMS_FILE,
    NamedSpan,
    Shape,
    index_row,
    parquet_file,
    row_files,
)
from shards_spec.stream.order import Int64
from shards_spec.variants import Variant, register, variant_named
from shards_spec.variants.registry import VARIANTS

_FORMAT = "6"  # change it when the contents of these files change


class DamagedIndexError(ReidShardsError):
    """A file of an index has been changed. Opening the set again writes the index anew."""


class IndexFiles:
    """The files of an index's folder. A file is used only if its content is what was written.

    Raises:
        DamagedError: A file has been changed.
        OSError: A file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest_data = read_small(folder / HELD_FILE)
        if folder_name(self.manifest_data) != folder.name:
            raise DamagedError(f"{HELD_FILE} is not as it was written")
        sums = unseal(read_small(folder / SUMS_FILE), folder.name)
        self._sums = msgspec.json.decode(sums, type=dict[str, FileSum])
        self.shape = msgspec.json.decode(self.map(SHAPE_FILE), type=Shape)
        has_more_files = self.shape.more_files is not None
        row = index_row(tuple(self.shape.files), tuple(self.shape.labels), has_more_files=has_more_files)
        self.rows: npt.NDArray[Any] = np.frombuffer(self.map(ROWS_FILE), row)
        self.keys: npt.NDArray[np.bytes_] = np.frombuffer(self.map(KEYS_FILE), f"S{self.shape.key_bytes}")
        self.more: npt.NDArray[Any] = np.frombuffer(self.map(MORE_FILES_FILE) if has_more_files else b"", MORE_FILE)

    def map(self, name: str) -> mmap.mmap | bytes:
        """Return the content of a file."""
        if name not in self._sums:
            raise DamagedError(f"{SUMS_FILE} lacks {name}")
        return map_checked(self.folder / name, self._sums[name].matches)

    def check_rest(self) -> None:
        """Check what is read only later: the values of labels, and the sizes of the copies of Parquet files."""
        self.map(LABELS_FILE)
        for name, expected in self._sums.items():
            status = (self.folder / name).stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size != expected.bytes:
                raise DamagedError(f"{name} is not as it was written")


class SetIndex:
    """The index of a whole set, with cells in the order of the manifest and shards in the order of their cell.

    It is pickled as the path of its folder.

    Raises:
        DamagedIndexError: The folder is damaged.
        ReidShardsError: The folder was removed. Pickling raises this as well, so that the process that starts another
            one is told, not only the one that is started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._checked():
            hold(folder / HELD_FILE, self)
            self._files = IndexFiles(folder)
            self.manifest: Manifest = decode_manifest(self._files.manifest_data)
            self.variant = variant_named(self.manifest.variant)
        self._shape = self._files.shape
        self.rows = self._files.rows
        """``[samples]`` of ``index_row``."""
        self.keys = self._files.keys
        self.has_more_files = self._shape.more_files is not None
        """Whether the number of a sample's files varies."""
        self.digest = hashlib.sha256(self._files.manifest_data).hexdigest()
        """Digest of the manifest, and thereby of the set."""
        self.shards: list[ShardFile] = [shard for cell in self.manifest.cells.values() for shard in cell.shards]
        self.shard_starts = np.asarray(self._shape.shard_starts, np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        if not (self.folder / HELD_FILE).exists():
            raise removed(self.folder)
        if self.variant in VARIANTS:
            return SetIndex, (self.folder,)
        return _open_of_variant, (self.folder, self.variant)

    def find(self, rows: Int64) -> tuple[npt.NDArray[Any], Int64]:
        """Return the index entries of rows, ``[n]`` of ``index_row``, and ``[n]`` the shard of each."""
        # ``take`` copies records ten times as fast as indexing does.
        return self.rows.take(rows), np.searchsorted(self.shard_starts, rows, side="right") - 1

    def spans(self, record: Any) -> list[NamedSpan]:
        """Return where each file of a sample lies in its shard, in their order, given its index entry."""
        fixed = [
            NamedSpan(name, *(int(record[f"{name}_{what}"]) for what in ("offset", "size", "crc32")))
            for name in row_files(record.dtype)
        ]
        names = self._shape.more_files
        if names is None:
            return fixed
        start = int(record["more_start"])
        more = self._files.more[start : start + int(record["more_count"])].tolist()
        return [
            *fixed[:-1],
            *(NamedSpan(names[extension], offset, size, said) for offset, size, said, extension in more),
            fixed[-1],
        ]

    def cell_rows(self, cell: str) -> range:
        """Return the rows of a cell."""
        return range(self._shape.cells[cell].start, self._shape.cells[cell].stop)

    def cell_labels(self, cell: str, field: str) -> list[int]:
        """Return the positions in ``label_values`` of those that occur in a cell, in ascending order."""
        return self._shape.cells[cell].labels[field]

    def label_values(self, field: str) -> list[str]:
        """Return all values of a label field that occur in the set.

        Raises:
            ReidShardsError: The folder was removed after it was opened.
        """
        with self._checked():
            return msgspec.json.decode(self._files.map(LABELS_FILE), type=dict[str, list[str]])[field]

    def parquet(self, cell: str) -> Path:
        """Return a copy of a cell's index, as it was when its digest was checked.

        Raises:
            ReidShardsError: The folder was removed or damaged, as for ``SetIndex``.
        """
        name = parquet_file(list(self.manifest.cells).index(cell))
        with self._checked():
            try:
                self._files.map(name)
            except DamagedError:
                remove(self.folder / name)  # only its size is looked at when the set is opened
                raise
        return self.folder / name

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except (OSError, DamagedError) as error:
            if not self.folder.is_dir():
                raise removed(self.folder) from error
            raise DamagedIndexError(
                f"the index in {self.folder} is damaged: {error}: open the set again, which makes it anew"
            ) from error


def _open_of_variant(folder: Path, variant: Variant) -> SetIndex:
    """Open an index in a process that may not have imported what defines its variant."""
    register(variant)
    return SetIndex(folder)


def removed(folder: Path) -> ReidShardsError:
    """Return the error for an opened index whose files are gone, for example because somebody cleared ``~/.cache``."""
    return ReidShardsError(f"the index in {folder} was removed meanwhile: open the set again")


def default_folder() -> Path:
    """Return the folder of all indexes: ``$XDG_CACHE_HOME/reid-shards`` or ``~/.cache/reid-shards``."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "reid-shards"
    except RuntimeError as error:
        raise UsageError(f"nowhere to keep the set's index: {error}: name a folder in XDG_CACHE_HOME") from error


def prepare_index(store: ReadableStore, manifest_data: bytes, folder: Path) -> Path:
    """Return the folder that ``SetIndex`` opens, after creating it if necessary. Only one of many processes creates it.

    Args:
        store: ReadableStore of the set.
        manifest_data: Content of the set's manifest.
        folder: Folder of all indexes.

    Raises:
        SpecError: The manifest contradicts itself or the indexes of its cells.
        ReidShardsError: The indexes cannot be read, or the folder cannot be written.
    """
    manifest = decode_manifest(manifest_data)
    target = folder / folder_name(manifest_data)
    if _is_sound(target):
        return target
    # Imported only where an index is made, because it imports PyArrow: opening an index must stay light.
    from shards_spec.stream.index_write import write_index_files  # noqa: PLC0415

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{target.name}.lock"):
            if _is_sound(target):  # another process has created it
                return target
            partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=folder))
            try:
                write_index_files(store, manifest, partial)
                _write_sums(partial, target.name)
                (partial / HELD_FILE).write_bytes(manifest_data)
                _publish(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        sweep(folder)
    except OSError as error:
        raise ReidShardsError(
            f"the index of {store.url} cannot be kept in {folder}: {error}: make room, or name another folder in "
            "XDG_CACHE_HOME"
        ) from error
    return target


def folder_name(manifest_data: bytes) -> str:
    """Return the name of an index's folder. The manifest determines all of the index, through its digests."""
    return hashlib.sha256(_FORMAT.encode() + manifest_data).hexdigest()[:32]


def _is_sound(folder: Path) -> bool:
    """Return whether an index exists and is undamaged."""
    try:
        IndexFiles(folder).check_rest()
    except (OSError, DamagedError):
        return False
    return True


def _write_sums(folder: Path, name: str) -> None:
    sums = {path.name: sum_file(path) for path in folder.iterdir()}
    (folder / SUMS_FILE).write_bytes(seal(msgspec.json.encode(sums), name))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Exclude other processes while the block runs. The lock ends with the process, however it ends."""
    # With these flags a named pipe of this name is locked like a file; otherwise opening it would wait for a reader.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: all writers write the same content
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _publish(partial: Path, target: Path) -> None:
    """Give a finished index its name, after its files have been synced to disk.

    If there is a damaged index of that name, its files are replaced one by one. All files that ever had these names had
    the same content. A process that opens the index in the meantime finds it sound or is told that it is damaged, and a
    process that has mapped the old files keeps them.
    """
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if target.is_symlink() or not target.is_dir():
        remove(target)
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        for path in partial.iterdir():
            place = target / path.name
            if not _is_same(path, place):
                if place.is_dir() and not place.is_symlink():
                    remove(place)
                path.replace(place)


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two files have the same content. A sound file is kept, because it may be held: see ``cleanup``."""
    try:
        return sum_file(path) == sum_file(other)
    except (OSError, DamagedError):
        return False


def remove(path: Path) -> None:
    """Remove a file or folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
