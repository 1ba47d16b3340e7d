"""Make a mapped index from the Parquet files of a set's cells. Only this needs PyArrow, so it has its own module.

Readers trust what is mapped, so it is checked here: whatever the Parquet files say, no row points outside its shard.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.errors import ReidShardsError, SpecError
from shards_spec.index import index_schema
from shards_spec.index_read import IndexReader, check_capacity
from shards_spec.keys import KEY_PATTERN
from shards_spec.manifest import Cell, IndexFile, Manifest, ShardFile
from shards_spec.storage import ReadableStore
from shards_spec.stream.index_format import (
    IDENTITIES_FILE,
    INDEX_ROW,
    KEYS_FILE,
    ROWS_FILE,
    SHAPE_FILE,
    CellShape,
    Shape,
    parquet_file,
)
from shards_spec.tar import BLOCK, MAX_MEMBER_SIZE
from shards_spec.variants import Variant, variant_named

_PLACEMENT = ("jpg_offset", "json_offset", "jpg_size", "json_size", "jpg_crc32", "json_crc32", "unit_index", "camera")
_COLUMNS = ["key", "identity", *_PLACEMENT]
_STEP = 8 * 2**20


def write_index_files(store: ReadableStore, manifest: Manifest, folder: Path) -> None:
    """Write all files of an index except the manifest.

    Args:
        store: ReadableStore of the set.
        manifest: Manifest of the set.
        folder: Folder to write to.

    Raises:
        SpecError: The manifest contradicts itself, or a cell's index does not conform to it or to the format.
        ReidShardsError: A cell's index cannot be read.
        OSError: A file cannot be written.
    """
    variant = variant_named(manifest.variant)
    for cell in manifest.cells.values():
        _check_capacity(store, cell)
    files = [folder / parquet_file(number) for number in range(len(manifest.cells))]
    longest = 1
    for cell, file in zip(manifest.cells.values(), files, strict=True):
        _copy(store, cell.index, file)
        longest = max(longest, _longest_key(cell, file, variant))
    total = sum(cell.samples for cell in manifest.cells.values())
    rows = _new_array(folder / ROWS_FILE, INDEX_ROW, total)
    keys = _new_array(folder / KEYS_FILE, np.dtype(f"S{longest}"), total)
    codes: dict[str, int] = {}
    shapes: dict[str, CellShape] = {}
    starts = [0]
    for (name, cell), file in zip(manifest.cells.items(), files, strict=True):
        start = starts[-1]
        seen: set[int] = set()
        with _opened(cell, file) as index:
            for group, shard in enumerate(cell.shards):
                table = index.read(group, shard, _COLUMNS)
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
        shapes[name] = CellShape(start, starts[-1], sorted(seen))
    (folder / IDENTITIES_FILE).write_bytes(msgspec.json.encode(list(codes)))
    (folder / SHAPE_FILE).write_bytes(msgspec.json.encode(Shape(shapes, starts, longest)))


def _check_capacity(store: ReadableStore, cell: Cell) -> None:
    try:
        check_capacity(store, cell.shards)
    except SpecError as error:
        raise SpecError(f"{cell.index.file}: {error}") from error
    except OSError as error:
        raise ReidShardsError(f"{store.url}: its shards cannot be looked at: {error}") from error


def _new_array(path: Path, dtype: np.dtype[Any], length: int) -> npt.NDArray[Any]:
    if length == 0:  # an empty file cannot be mapped
        path.touch()
        return np.empty(0, dtype)
    with path.open("wb") as file:  # a full disk is an error here; writing to a mapped hole would kill the process
        os.posix_fallocate(file.fileno(), 0, length * dtype.itemsize)
    return np.asarray(np.memmap(path, dtype, "r+", shape=(length,)))


def _copy(store: ReadableStore, file: IndexFile, target: Path) -> None:
    """Copy a cell's index. If its digest is wrong, copy it once more."""
    for _ in range(2):
        digest = hashlib.sha256()
        with target.open("wb") as copy:
            for data in _blocks(store, file.file):
                digest.update(data)
                copy.write(data)
        if digest.hexdigest() == file.sha256:
            return
    raise SpecError(f"{file.file}: its SHA-256 is {digest.hexdigest()}, not the manifest's {file.sha256}")


def _blocks(store: ReadableStore, file: str) -> Iterator[bytes]:
    try:
        size = store.size(file)
        for start in range(0, size, _STEP):
            yield store.read(file, start, min(start + _STEP, size))
    except FileNotFoundError:
        raise SpecError(f"{file} is missing: verify the set, and copy it anew") from None
    except (OSError, EOFError) as error:
        raise ReidShardsError(f"{file} cannot be read: {error}") from error


@contextlib.contextmanager
def _opened(cell: Cell, file: Path) -> Iterator[IndexReader]:
    """Open a cell's index. Errors name the set's own file, not the copy."""
    try:
        with file.open("rb") as data, IndexReader(data, len(cell.shards)) as index:
            yield index
    except SpecError as error:
        raise SpecError(f"{cell.index.file}: {error}") from error


def _longest_key(cell: Cell, file: Path, variant: Variant) -> int:
    """Return the length of a cell's longest key; raise ``SpecError`` if the file's columns or rows are wrong."""
    longest = 1
    with _opened(cell, file) as index:
        for field in map(index_schema(variant, ()).field, _COLUMNS):
            if [one for one in index.schema if one.name == field.name] != [field]:
                raise SpecError(f"no column {field.name} of type {field.type}, without nulls")
        if index.metadata.num_rows != cell.samples:
            raise SpecError(f"{index.metadata.num_rows} rows, but the manifest says {cell.samples}")
        for group, shard in enumerate(cell.shards):
            keys = index.read(group, shard, ["key"])["key"]
            if not pc.all(pc.match_substring_regex(keys, KEY_PATTERN), min_count=0).as_py():
                raise SpecError(f"a key does not match {KEY_PATTERN}")
            longest = max(longest, pc.max(pc.binary_length(keys)).as_py() or 0)
    return longest


def _check(table: pa.Table, shard: ShardFile) -> None:
    """Raise ``SpecError`` if rows break what the format promises for a shard."""
    offsets, sizes = {}, {}
    end = min(shard.bytes, 2**63 - 1)
    for name in ("jpg", "json"):
        offset = offsets[name] = table[f"{name}_offset"].to_numpy()
        size = sizes[name] = table[f"{name}_size"].to_numpy().astype(np.int64)
        if ((offset < 0) | (size < 0) | (size > MAX_MEMBER_SIZE) | (offset > end - size)).any():
            raise SpecError(f"{shard.file}: the index has a {name} file that does not lie in its {shard.bytes} bytes")
    if int(sizes["jpg"].sum() + sizes["json"].sum()) > end:  # samples that are read together must fit into memory
        raise SpecError(f"{shard.file}: the index's files come to more than its {shard.bytes} bytes")
    between = offsets["json"] - offsets["jpg"] - sizes["jpg"]
    if ((between < BLOCK) | (between >= 2 * BLOCK)).any():  # padding and a header
        raise SpecError(f"{shard.file}: the index has an image whose sidecar does not follow it")
