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
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards_spec.errors import ReidShardsError, SpecError
from shards_spec.manifest import Cell, Manifest, ShardFile, decode_manifest
from shards_spec.storage import Store
from shards_spec.tar import MAX_MEMBER_SIZE

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
_PLACEMENT = ("jpg_offset", "json_offset", "jpg_size", "json_size", "jpg_crc32", "json_crc32", "frame_index", "camera")
_FORMAT = "1"  # changes with what the files below hold
_ROWS, _KEYS, _SHAPE, _IDENTITIES, _MANIFEST = "rows.npy", "keys.npy", "shape.json", "identities.json", "manifest.json"
_STEP = 8 * 2**20


class _CellShape(msgspec.Struct, frozen=True):
    """Where a cell's rows stand in the set, and which identities they show."""

    start: int
    stop: int
    identities: list[int]


class _Shape(msgspec.Struct, frozen=True):
    """How the rows of a set fall into cells and shards."""

    cells: dict[str, _CellShape]
    shard_starts: list[int]
    """``[shards + 1]``: the row at which each shard begins, and the number of rows."""


class SetIndex:
    """The index of a whole set, cell after cell as in the manifest, shard after shard; pickled as its folder's path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data = (folder / _MANIFEST).read_bytes()
        self.manifest: Manifest = decode_manifest(data)
        self.digest = folder.name
        self._shape = msgspec.json.decode((folder / _SHAPE).read_bytes(), type=_Shape)
        self.shards: list[ShardFile] = [shard for cell in self.manifest.cells.values() for shard in cell.shards]
        self.shard_starts = np.asarray(self._shape.shard_starts, np.int64)
        self.rows: npt.NDArray[Any] = np.load(folder / _ROWS, mmap_mode="r")
        """``[samples]`` of ``INDEX_ROW``."""
        self.keys: npt.NDArray[np.bytes_] = np.load(folder / _KEYS, mmap_mode="r")

    def __reduce__(self) -> tuple[type["SetIndex"], tuple[Path]]:
        return SetIndex, (self.folder,)

    def cell_rows(self, cell: str) -> range:
        """Where a cell's rows stand."""
        return range(self._shape.cells[cell].start, self._shape.cells[cell].stop)

    def cell_identities(self, cell: str) -> list[int]:
        """Places in ``identities`` of those that a cell shows, rising."""
        return self._shape.cells[cell].identities

    def identities(self) -> list[str]:
        """Every identity of the set."""
        return msgspec.json.decode((self.folder / _IDENTITIES).read_bytes(), type=list[str])

    def parquet(self, cell: str) -> Path:
        """A copy of a cell's index, its digest checked."""
        return self.folder / f"{cell}.parquet"


def default_folder() -> Path:
    """Where indexes are kept: ``$XDG_CACHE_HOME/reid-shards`` or ``~/.cache/reid-shards``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reid-shards"


def prepare_index(store: Store, manifest_data: bytes, folder: Path) -> Path:
    """The folder that ``SetIndex`` opens, made if it is not there; of many processes, one makes it.

    Args:
        store: Where the set is.
        manifest_data: The bytes of its manifest.
        folder: Where indexes are kept.

    Raises:
        SpecError: the index contradicts the manifest.
        ReidShardsError: the folder cannot be written.
    """
    manifest = decode_manifest(manifest_data)
    # The manifest's bytes name the indexes' digests, and everything else that the folder holds follows from it.
    target = folder / hashlib.sha256(_FORMAT.encode() + manifest_data).hexdigest()[:32]
    if target.is_dir():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{target.name}.lock"):
            if target.is_dir():  # another process was first
                return target
            partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=folder))
            try:
                _write(store, manifest, partial)
                (partial / _MANIFEST).write_bytes(manifest_data)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(folder)):
            raise
        raise ReidShardsError(
            f"the index of {store.url} cannot be kept in {folder}: {error}: make room, or name another folder in "
            "XDG_CACHE_HOME"
        ) from error
    return target


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone while the block runs; ends with the process, however that ends."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(store: Store, manifest: Manifest, folder: Path) -> None:
    files = {name: folder / f"{name}.parquet" for name in manifest.cells}
    longest = 1
    for name, cell in manifest.cells.items():
        _copy(store, cell, files[name])
        for keys in pq.ParquetFile(files[name]).iter_batches(columns=["key"], use_threads=False):
            longest = max(longest, pc.max(pc.binary_length(keys["key"])).as_py() or 0)
    total = sum(cell.samples for cell in manifest.cells.values())
    rows = _new_array(folder / _ROWS, INDEX_ROW, total)
    keys = _new_array(folder / _KEYS, np.dtype(f"S{longest}"), total)
    codes: dict[str, int] = {}
    cells: dict[str, _CellShape] = {}
    starts = [0]
    for name, cell in manifest.cells.items():
        start = starts[-1]
        seen: set[int] = set()
        parquet = pq.ParquetFile(files[name])
        if parquet.num_row_groups != len(cell.shards):
            raise SpecError(f"{cell.index.file}: {parquet.num_row_groups} row groups for {len(cell.shards)} shards")
        for group, shard in enumerate(cell.shards):
            table = parquet.read_row_group(group, columns=["key", "identity", *_PLACEMENT], use_threads=False)
            _check(table, shard)
            place = slice(starts[-1], starts[-1] + table.num_rows)
            for column in _PLACEMENT:
                rows[column][place] = table[column].to_numpy()
            dictionary = table["identity"].combine_chunks().dictionary_encode()
            coded = [codes.setdefault(identity, len(codes)) for identity in dictionary.dictionary.to_pylist()]
            rows["identity"][place] = np.asarray(coded, np.int32)[dictionary.indices.to_numpy()]
            keys[place] = table["key"].to_numpy().astype(keys.dtype)
            seen.update(coded)
            starts.append(place.stop)
        if starts[-1] - start != cell.samples:
            raise SpecError(f"{cell.index.file}: {starts[-1] - start} rows, but the manifest says {cell.samples}")
        cells[name] = _CellShape(start, starts[-1], sorted(seen))
    for array in (rows, keys):
        if isinstance(array, np.memmap):
            array.flush()
    (folder / _IDENTITIES).write_bytes(msgspec.json.encode(list(codes)))
    (folder / _SHAPE).write_bytes(msgspec.json.encode(_Shape(cells, starts)))


def _new_array(path: Path, dtype: np.dtype[Any], length: int) -> npt.NDArray[Any]:
    if length == 0:  # nothing can be mapped
        np.save(path, np.empty(0, dtype))
        return np.empty(0, dtype)
    with path.open("wb") as file:  # a full disk is an error here, where writing to mapped holes would end the process
        os.posix_fallocate(file.fileno(), 0, length * dtype.itemsize + 4096)
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(length,))


def _copy(store: Store, cell: Cell, target: Path) -> None:
    """Copy a cell's index, and once more where its digest is wrong."""
    for _ in range(2):
        digest = hashlib.sha256()
        size = store.size(cell.index.file)
        with target.open("wb") as file:
            for start in range(0, size, _STEP):
                data = store.read(cell.index.file, start, min(start + _STEP, size))
                digest.update(data)
                file.write(data)
        if digest.hexdigest() == cell.index.sha256:
            return
    raise SpecError(f"{cell.index.file}: its SHA-256 is {digest.hexdigest()}, not the manifest's {cell.index.sha256}")


def _check(table: pa.Table, shard: ShardFile) -> None:
    """Raise where rows point outside their shard: what is mapped is trusted afterwards."""
    if table.num_rows != shard.samples:
        raise SpecError(
            f"{shard.file}: {table.num_rows} rows in the index, but {shard.samples} samples in the manifest"
        )
    for member in ("jpg", "json"):
        offset = table[f"{member}_offset"].to_numpy()
        size = table[f"{member}_size"].to_numpy().astype(np.int64)
        if (
            (offset < 0).any()
            or (size < 0).any()
            or (size > MAX_MEMBER_SIZE).any()
            or (offset + size > shard.bytes).any()
        ):
            raise SpecError(
                f"{shard.file}: the index has a {member} member that does not lie in its {shard.bytes} bytes"
            )
