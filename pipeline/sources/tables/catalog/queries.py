"""The list of queries: which of the labelled boxes are searched for."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.tables.catalog.prepare import Prepared
from pipeline.sources.tables.files.joining import join_paths
from pipeline.sources.tables.labels.table import BOX, join_batches, plain
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.tables.rows.recognise import TABLE
from pipeline.sources.tables.rows.table import head_columns, read_table
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.storage import FileInfo, Store

NEAREST = 1.0
"""Pixels by which each number of a query's box may differ from that of the labelled one. PRW's list has fractions of
pixels and negative numbers where the labels have none."""

_EXAMPLES = 3

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Queries:
    """A list of queries."""

    source: SourceFile
    paths: list[str]
    """The path of the frame of each query."""
    box_ids: list[str | None]
    """What names the box in its frame, if the list says so."""
    boxes: npt.NDArray[np.float64]
    """Left, top, width and height in pixels; NaN where ``box_ids`` names the box, ``[queries, 4]``."""
    rows: list[int]
    """The row of each query in the list, from 1."""


def read_queries(store: Store, options: TableOptions) -> Queries | None:
    """Read the list of queries, if there is one.

    Raises:
        UsageError: It cannot be read, or names no boxes.
    """
    path = options.queries
    if path is None:
        return None
    if TABLE.fullmatch(path) is None:
        raise UsageError(f"--queries {path}: give the path in SRC of a table (CSV, JSON Lines, Parquet)")
    try:
        file = FileInfo(path, store.size(path))
    except FileNotFoundError as error:
        raise UsageError(f"--queries {path}: there is no such file in {store.url}") from error
    columns = head_columns(store, file)
    has_boxes = set(columns) >= set(BOX)
    if not has_boxes and "box_id" not in columns:
        raise UsageError(f"--queries {path}: it needs the columns file and either box_id or x, y, w and h")
    found = read_table(store, file, 0, has_boxes=has_boxes, keeps_boxes=True)
    if found.rejects:
        raise UsageError(f"--queries: {found.rejects[0].where}: {found.rejects[0].detail}")
    table = join_batches(found.batches)
    boxes = np.stack([plain(table[name]).to_numpy(zero_copy_only=False) for name in BOX], axis=1)
    return Queries(
        found.source,
        plain(table["path"]).cast(pa.large_string()).to_pylist(),
        plain(table["box_id"]).to_pylist(),
        boxes.astype(np.float64),
        table["row"].to_pylist(),
    )


def find_queries(
    queries: Queries, prepared: Prepared, image: _Int64, box: list[npt.NDArray[np.float64]], box_ids: pa.Array
) -> _Int64:
    """Return the samples that are queries.

    Args:
        queries: The list.
        prepared: The labelled rows.
        image: The image of each sample, ``[samples]``.
        box: Left, top, width and height of each sample in pixels, ``[samples]`` each.
        box_ids: What names each box in its frame, ``[samples]``.

    Raises:
        UsageError: A query names no labelled box.
    """
    distinct = pa.array(queries.paths, pa.large_string()).dictionary_encode()
    file_of_path = join_paths(distinct.dictionary, prepared.files.paths, prepared.root).file
    images = file_of_path[distinct.indices.to_numpy()]
    of_image: dict[int, list[int]] = {int(one): [] for one in images}
    for sample in np.flatnonzero(np.isin(image, list(of_image))).tolist():
        of_image[int(image[sample])].append(sample)
    found, lost = [], []
    for number, one in enumerate(images.tolist()):
        match = _find(of_image[one], queries.box_ids[number], queries.boxes[number], box, box_ids)
        if match is None:
            lost.append(f"{queries.source.file}:{queries.rows[number]} ({queries.paths[number]})")
        else:
            found.append(match)
    if lost:
        raise UsageError(
            f"--queries {queries.source.file}: {len(lost):,} of {len(images):,} rows name no labelled box (within "
            f"{NEAREST:g} pixel), such as {', '.join(lost[:_EXAMPLES])}: correct these rows, or leave them out"
        )
    return np.array(sorted(set(found)), np.int64)


def _find(
    samples: list[int],
    box_id: str | None,
    wanted: npt.NDArray[np.float64],
    box: list[npt.NDArray[np.float64]],
    box_ids: pa.Array,
) -> int | None:
    """Return the sample of a frame that a query names; None if none does."""
    if box_id is not None:
        return next((sample for sample in samples if box_ids[sample].as_py() == box_id), None)
    if not samples:
        return None
    differences = np.max([np.abs(numbers[samples] - one) for numbers, one in zip(box, wanted, strict=True)], axis=0)
    nearest = int(np.argmin(differences))
    return samples[nearest] if differences[nearest] <= NEAREST else None
