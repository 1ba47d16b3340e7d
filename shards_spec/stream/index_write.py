"""Make a mapped index from the Parquet files of a set's cells. Only this needs PyArrow, so it has its own module.

Readers trust what is mapped, so it is checked here: whatever the Parquet files say, no row points outside its shard.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
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
    KEYS_FILE,
    LABELS_FILE,
    MORE_FILES_FILE,
    NO_CAMERA,
    NO_LABEL,
    ROWS_FILE,
    SHAPE_FILE,
    CellShape,
    Shape,
    index_row,
    parquet_file,
)
from shards_spec.stream.index_more import MORE_COLUMNS, MoreFiles, MoreFilesWriter
from shards_spec.tar import BLOCK, MAX_FILE_SIZE
from shards_spec.variants import Variant, variant_named
from shards_spec.variants.base import SIDECAR

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
    extensions, labels = (*variant.files, SIDECAR), variant.label_fields
    more = MoreFilesWriter(folder / MORE_FILES_FILE) if variant.has_more_files else None
    rows = _new_array(folder / ROWS_FILE, index_row(extensions, labels, has_more_files=more is not None), total)
    keys = _new_array(folder / KEYS_FILE, np.dtype(f"S{longest}"), total)
    codes: dict[str, dict[str, int]] = {name: {} for name in labels}
    shapes: dict[str, CellShape] = {}
    starts = [0]
    for (name, cell), file in zip(manifest.cells.items(), files, strict=True):
        start = starts[-1]
        seen: dict[str, set[int]] = {label: set() for label in labels}
        with _opened(cell, file) as index:
            for group, shard in enumerate(cell.shards):
                table = index.read(group, shard, _columns(variant))
                place = slice(starts[-1], starts[-1] + table.num_rows)
                found = None if more is None else MoreFiles(table, shard)
                _check(table, shard, extensions, found)
                if more is not None and found is not None:
                    rows["more_start"][place], rows["more_count"][place] = more.add(found), found.counts
                for column in _copied_columns(variant):
                    rows[column][place] = table[column].to_numpy()
                rows["camera"][place] = _cameras(table, variant)
                for label in labels:
                    coded = _coded(table[label], codes[label])
                    rows[label][place] = coded
                    seen[label].update(np.unique(coded[coded != NO_LABEL]).tolist())
                keys[place] = table["key"].to_numpy().astype(keys.dtype)
                starts.append(place.stop)
        shapes[name] = CellShape(start, starts[-1], {label: sorted(found) for label, found in seen.items()})
    (folder / LABELS_FILE).write_bytes(msgspec.json.encode({label: list(values) for label, values in codes.items()}))
    more_files = None if more is None else more.extensions
    shape = Shape(list(extensions), list(labels), shapes, starts, longest, more_files)
    (folder / SHAPE_FILE).write_bytes(msgspec.json.encode(shape))


def _copied_columns(variant: Variant) -> list[str]:
    """Return the columns whose numbers are taken over as they are."""
    files = [f"{name}_{what}" for name in (*variant.files, SIDECAR) for what in ("offset", "size", "crc32")]
    return [*files, "unit_index"]


def _columns(variant: Variant) -> list[str]:
    """Return the columns of a cell's index that are read."""
    camera = [] if variant.camera_field is None else [variant.camera_field]
    more = MORE_COLUMNS if variant.has_more_files else []
    return list(dict.fromkeys(["key", *variant.label_fields, *camera, *_copied_columns(variant), *more]))


def _cameras(table: pa.Table, variant: Variant) -> Any:
    """Return the number of each sample's camera."""
    if variant.camera_field is None:
        return NO_CAMERA
    cameras = table[variant.camera_field]
    return (cameras.fill_null(NO_CAMERA) if cameras.null_count else cameras).to_numpy()


def _coded(column: pa.ChunkedArray, codes: dict[str, int]) -> npt.NDArray[np.int32]:
    """Return the code of each value of a label field, and add new values to ``codes``."""
    encoded = column.combine_chunks().dictionary_encode()
    own = [codes.setdefault(value, len(codes)) for value in encoded.dictionary.to_pylist()]
    table = np.asarray([*own, NO_LABEL], np.int32)  # a null has the last place
    indices = encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices
    coded: npt.NDArray[np.int32] = table[indices.to_numpy()]
    return coded


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
        for field in map(index_schema(variant, ()).field, _columns(variant)):
            if [one for one in index.schema if one.name == field.name] != [field]:
                nulls = "with" if field.nullable else "without"
                raise SpecError(f"no column {field.name} of type {field.type}, {nulls} nulls")
        if index.metadata.num_rows != cell.samples:
            raise SpecError(f"{index.metadata.num_rows} rows, but the manifest says {cell.samples}")
        for group, shard in enumerate(cell.shards):
            keys = index.read(group, shard, ["key"])["key"]
            if not pc.all(pc.match_substring_regex(keys, KEY_PATTERN), min_count=0).as_py():
                raise SpecError(f"a key does not match {KEY_PATTERN}")
            longest = max(longest, pc.max(pc.binary_length(keys)).as_py() or 0)
    return longest


def _check(table: pa.Table, shard: ShardFile, extensions: Sequence[str], more: MoreFiles | None) -> None:
    """Raise ``SpecError`` if rows break what the format promises for a shard."""
    end = min(shard.bytes, 2**63 - 1)
    before: npt.NDArray[np.int64] | None = None
    total = 0
    for name in extensions:
        if name == SIDECAR and more is not None and before is not None:
            before, total_more = more.check_places(before)
            total += total_more
        offset = table[f"{name}_offset"].to_numpy()
        size = table[f"{name}_size"].to_numpy().astype(np.int64)
        if ((offset < 0) | (size < 0) | (size > MAX_FILE_SIZE) | (offset > end - size)).any():
            raise SpecError(f"{shard.file}: the index has a {name} file that does not lie in its {shard.bytes} bytes")
        if before is not None and ((offset - before < BLOCK) | (offset - before >= 2 * BLOCK)).any():
            # Between two files are padding and a header.
            raise SpecError(f"{shard.file}: the index has a sample whose {name} file does not follow the one before it")
        before = offset + size
        total += int(size.sum())
    if total > end:  # samples that are read together must fit into memory
        raise SpecError(f"{shard.file}: the index's files come to more than its {shard.bytes} bytes")
