"""The digest of a plan, which identifies a conversion: records of another one are never mistaken for its own."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards_spec.cores import usable_cores

_AT_A_TIME = 1 << 16
"""Codes that are replaced by strings at once."""


def digest_table(table: pa.Table) -> str:
    """Return the SHA-256 of a table's names, types and values.

    It depends neither on chunks or slices nor on how strings are kept: plain, with offsets of 64 bits, or as codes.

    Args:
        table: Columns of numbers, strings and lists of these. Numbers and strings may be null, also those in lists of
            strings.

    Raises:
        ValueError: A list is null.
    """
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="digest") as pool:
        columns = list(pool.map(_digest_column, table.columns))
    types = [_type_name(field.type) for field in table.schema]
    return digest_json([table.num_rows, table.column_names, types, columns])


def digest_arrays(arrays: Iterable[npt.NDArray[np.int64]]) -> str:
    """Return the SHA-256 of the concatenated arrays; the boundaries between them do not affect it."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<i8").data)
    return digest.hexdigest()


def digest_json(value: Any) -> str:
    """Return the SHA-256 of a value's JSON, with the keys of dicts sorted."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _type_name(type_: Any) -> str:
    """Return the name of a type; one name stands for all types of strings."""
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    if _is_list_of_strings(plain):
        return "list<string>"
    return "string" if _is_string(plain) else str(plain)


def _is_string(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_list_of_strings(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_)) and _is_string(type_.value_type)


def _digest_column(column: pa.ChunkedArray) -> list[str]:
    """Return the SHA-256 of a column's values, of the lengths of its strings or lists, and of where its nulls are."""
    values, lengths, nulls = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    if _is_list_of_strings(column.type):
        for chunk in column.chunks:
            _update_lengths(lengths, _without_nulls(chunk))
        strings = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
        return [lengths.hexdigest(), *_digest_column(strings)]
    has_nulls = column.null_count > 0
    for chunk in _plain_chunks(column):
        if has_nulls:
            nulls.update(chunk.is_null().to_numpy(zero_copy_only=False).data)
        _update(values, lengths, _without_nulls(chunk))
    return [values.hexdigest(), lengths.hexdigest(), *([nulls.hexdigest()] if has_nulls else [])]


def _plain_chunks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yield the chunks of a column, with codes replaced by the strings that they stand for, a block at a time."""
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            yield chunk
            continue
        for start in range(0, len(chunk), _AT_A_TIME):
            yield chunk.slice(start, _AT_A_TIME).cast(pa.large_string())


def _without_nulls(chunk: pa.Array) -> pa.Array:
    """Return a chunk with an empty or zero value in place of each null, because those may have any bytes."""
    if not chunk.null_count:
        return chunk
    if pa.types.is_list(chunk.type):
        raise ValueError(f"{chunk.null_count} nulls in a column of {chunk.type}")
    return chunk.fill_null("" if _is_string(chunk.type) else 0)


def _update(values: "hashlib._Hash", lengths: "hashlib._Hash", chunk: pa.Array) -> None:
    """Add the values of a chunk without nulls, and the lengths of its strings or lists, to digests."""
    if not _is_string(chunk.type) and not pa.types.is_list(chunk.type):
        values.update(chunk.to_numpy(zero_copy_only=True))
        return
    bounds = _update_lengths(lengths, chunk)
    if not _is_string(chunk.type):
        values.update(chunk.flatten().to_numpy(zero_copy_only=True))
        return
    _, _, text = chunk.buffers()
    if text is not None and len(bounds):
        values.update(memoryview(text)[bounds[0] : bounds[-1]])


def _update_lengths(lengths: "hashlib._Hash", chunk: pa.Array) -> npt.NDArray[Any]:
    """Add the lengths of a chunk's strings or lists to a digest; return where each begins, and where the last ends."""
    kind = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
    bounds = np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk) + 1]
    lengths.update(np.diff(bounds).astype(np.int32, copy=False).data)
    return bounds
