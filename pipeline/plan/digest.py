"""The digest of a plan, which identifies a conversion: records of another one are never mistaken for its own."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa


def digest_table(table: pa.Table) -> str:
    """Return the SHA-256 of a table's names, types and values, which does not depend on chunks or slices.

    Args:
        table: Columns of numbers, strings and lists of numbers, without nulls.

    Raises:
        ValueError: A column holds nulls.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="digest") as pool:
        columns = list(pool.map(_digest_column, table.columns))
    types = [str(field.type) for field in table.schema]
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


def _digest_column(column: pa.ChunkedArray) -> list[str]:
    """Return the SHA-256 of a column's concatenated values and, for strings and lists, that of their lengths."""
    if column.null_count:
        raise ValueError(f"{column.null_count} nulls in a column of {column.type}")
    values, lengths = hashlib.sha256(), hashlib.sha256()
    for chunk in column.chunks:
        if not pa.types.is_string(chunk.type) and not pa.types.is_list(chunk.type):
            values.update(chunk.to_numpy(zero_copy_only=True))
            continue
        _, starts, *rest = chunk.buffers()
        bounds = np.frombuffer(starts, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        lengths.update(np.diff(bounds).data)
        if pa.types.is_string(chunk.type):
            data = rest[0]
            if data is not None and len(bounds):
                values.update(memoryview(data)[bounds[0] : bounds[-1]])
        else:
            values.update(chunk.flatten().to_numpy(zero_copy_only=True))
    return [values.hexdigest(), lengths.hexdigest()]
