"""The set's index as every process of a node shares it: files of plain rows, memory-mapped.

Parquet is small on disk and large in memory. So the columns that reading needs are written once, uncompressed, into a
folder named after the digests of the cells' indexes, which appears by one rename. However many processes read, the page
cache holds it once.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.manifest import Manifest, ShardFile, decode_manifest
from shards_spec.storage import Store
from shards_spec.stream.order import Int64
from shards_spec.stream.upkeep import HELD_FILE, hold, sweep

INDEX_ROW = np.dtype(
    [
        ("jpg_offset", "<i8"),
        ("json_offset", "<i8"),
        ("jpg_size", "<i4"),
        ("json_size", "<i4"),
        ("jpg_crc32", "<u4"),
        ("json_crc32", "<u4"),
        ("identity", "<i4"),  # place in ``SetIndex.identities``
        ("frame_index", "<i4"),
        ("camera", "<i4"),
    ]
)
ROWS_FILE, KEYS_FILE, SHAPE_FILE, IDENTITIES_FILE = "rows.npy", "keys.npy", "shape.json", "identities.json"
_FORMAT = "2"  # changes with what these files hold


class CellShape(msgspec.Struct, frozen=True):
    """Where a cell's rows stand in the set, and which identities they show."""

    start: int
    stop: int
    identities: list[int]


class Shape(msgspec.Struct, frozen=True):
    """How the rows of a set fall into cells and shards."""

    cells: dict[str, CellShape]
    shard_starts: list[int]
    """``[shards + 1]``: the row at which each shard begins, and the number of rows."""


class SetIndex:
    """The index of a whole set, cell after cell as in the manifest, shard after shard; pickled as its folder's path.

    Raises:
        ReidShardsError: the folder was damaged, or removed meanwhile; also where it is pickled, so that whoever starts
            a process is told, not only that process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            hold(folder / HELD_FILE, self)
            data = (folder / HELD_FILE).read_bytes()
            self.manifest: Manifest = decode_manifest(data)
            self._shape = msgspec.json.decode((folder / SHAPE_FILE).read_bytes(), type=Shape)
            self.rows: npt.NDArray[Any] = map_array(folder / ROWS_FILE)
            """``[samples]`` of ``INDEX_ROW``."""
            self.keys: npt.NDArray[np.bytes_] = map_array(folder / KEYS_FILE)
        except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
            if not folder.is_dir():
                raise removed(folder) from error
            raise ReidShardsError(f"the index in {folder} is damaged: {error}: remove that folder") from error
        self.digest = hashlib.sha256(data).hexdigest()
        """Of the manifest, and so of the set."""
        self.shards: list[ShardFile] = [shard for cell in self.manifest.cells.values() for shard in cell.shards]
        self.shard_starts = np.asarray(self._shape.shard_starts, np.int64)

    def __reduce__(self) -> tuple[type["SetIndex"], tuple[Path]]:
        if not (self.folder / HELD_FILE).exists():
            raise removed(self.folder)
        return SetIndex, (self.folder,)

    def find(self, rows: Int64) -> tuple[npt.NDArray[Any], Int64]:
        """What the index says of rows, ``[n]`` of ``INDEX_ROW``, and ``[n]`` the shard of each."""
        # ``take``, because it copies records ten times as fast as an index does.
        return self.rows.take(rows), np.searchsorted(self.shard_starts, rows, side="right") - 1

    def cell_rows(self, cell: str) -> range:
        """Where a cell's rows stand."""
        return range(self._shape.cells[cell].start, self._shape.cells[cell].stop)

    def cell_identities(self, cell: str) -> list[int]:
        """Places in ``identities`` of those that a cell shows, rising."""
        return self._shape.cells[cell].identities

    def identities(self) -> list[str]:
        """Every identity of the set.

        Raises:
            ReidShardsError: the folder was removed meanwhile.
        """
        try:
            data = (self.folder / IDENTITIES_FILE).read_bytes()
        except FileNotFoundError as error:
            raise removed(self.folder) from error
        return msgspec.json.decode(data, type=list[str])

    def parquet(self, cell: str) -> Path:
        """A copy of a cell's index, its digest checked."""
        return self.folder / parquet_file(list(self.manifest.cells).index(cell))


def map_array(file: Path) -> npt.NDArray[Any]:
    """A file's array, mapped; a plain one, because NumPy's own kind for this takes twice as long to take rows from."""
    return np.asarray(np.load(file, mmap_mode="r"))


def removed(folder: Path) -> ReidShardsError:
    """What to raise where files of an index that was opened are gone, as by somebody who clears ``~/.cache``."""
    return ReidShardsError(f"the index in {folder} was removed meanwhile: open the set again")


def parquet_file(number: int) -> str:
    """Name of the copy of the manifest's cell of this number: what a manifest calls a cell may be no file's name."""
    return f"{number}.parquet"


def default_folder() -> Path:
    """Where indexes are kept: ``$XDG_CACHE_HOME/reid-shards`` or ``~/.cache/reid-shards``."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "reid-shards"
    except RuntimeError as error:
        raise UsageError(f"nowhere to keep the set's index: {error}: name a folder in XDG_CACHE_HOME") from error


def prepare_index(store: Store, manifest_data: bytes, folder: Path) -> Path:
    """The folder that ``SetIndex`` opens, made if it is not there; of many processes, one makes it.

    Args:
        store: Where the set is.
        manifest_data: The bytes of its manifest.
        folder: Where indexes are kept.

    Raises:
        SpecError: the manifest contradicts itself or the cells' indexes.
        ReidShardsError: these cannot be read, or the folder cannot be written.
    """
    manifest = decode_manifest(manifest_data)
    # The manifest's bytes name the indexes' digests, and everything else that the folder holds follows from it.
    target = folder / hashlib.sha256(_FORMAT.encode() + manifest_data).hexdigest()[:32]
    if target.is_dir():
        return target
    # PyArrow is imported only where an index is made.
    from shards_spec.stream.index_write import write_index  # noqa: PLC0415

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{target.name}.lock"):
            if target.is_dir():  # another process was first
                return target
            partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=folder))
            try:
                write_index(store, manifest, partial)
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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone while the block runs; ends with the process, however that ends."""
    with path.open("a") as file:
        with contextlib.suppress(OSError):  # a file system without locks: what several make, they make the same
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _publish(partial: Path, target: Path) -> None:
    """Give a finished index its name: after its files are safe from a power cut."""
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # which is another process's
            raise
