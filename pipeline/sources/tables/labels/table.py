"""The one table that all kinds of label files become: a row for each box or crop that they name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.samples import Notes
from pipeline.sources.tables.files.joining import plain_paths
from shards_spec.manifest import Decision, SourceFile
from shards_spec.rejects import Reject, RejectReason
from shards_spec.variants.tables.extra import ExtraType

LONGEST_TEXT = 250
"""Most characters of an id, a camera, a group and a split; the format's own limit."""

LONGEST_PATH = 1000
"""Most characters of a path."""

CODED = pa.dictionary(pa.int32(), pa.large_string())

TEXTS = ("path", "split", "person_id", "id_kind", "camera", "group_id")
"""Columns of strings, which are kept as codes."""

BOX = ("x", "y", "w", "h")
SIZES = ("frame_width", "frame_height")

LABEL_SCHEMA = pa.schema(
    [
        pa.field("file", pa.int16()),  # the label file, as its position in ``Labels.sources``
        pa.field("row", pa.int32()),  # the row in it, from 1
        pa.field("path", CODED),  # the image, as spelled, but with "/" between the parts
        *(pa.field(name, CODED) for name in TEXTS[1:]),
        pa.field("box_id", pa.large_string()),
        *(pa.field(name, pa.float64()) for name in BOX),  # all NaN where images are taken over whole
        *(pa.field(name, pa.int32()) for name in SIZES),
    ]
)


@dataclass(slots=True)
class Labels:
    """What all label files of a source say."""

    table: pa.Table
    """The columns of ``LABEL_SCHEMA``, each in one chunk."""
    sources: list[SourceFile]
    """The label files."""
    rejects: list[Reject]
    """Rows that lack a field or have a value that cannot be taken; each is a sample."""
    extra: pa.Table | None = None
    """The further columns, ``[rows]``: bool, int64, double or large_string; None if there are none."""
    extra_types: dict[str, ExtraType] = field(default_factory=dict)
    """The types of the further columns, in their order."""
    listed: list[str] = field(default_factory=list)
    """Images that the labels list without a box."""
    decisions: dict[str, Decision] = field(default_factory=dict)
    """What was decided while reading."""
    notes: Notes = field(default_factory=Notes)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column of numbers; nulls become NaN, or 0 where the numbers are whole."""
        column = self.table[name]
        filled = column.fill_null(0) if pa.types.is_integer(column.type) else column
        values: npt.NDArray[Any] = filled.to_numpy()
        return values

    def codes(self, name: str) -> tuple[npt.NDArray[np.int32], list[str]]:
        """Return a column of strings as codes, -1 for null, and the strings that they stand for."""
        column = plain(self.table[name])
        return column.indices.fill_null(-1).to_numpy(zero_copy_only=False), column.dictionary.to_pylist()


def spell(value: Any) -> str | None:
    """Return an id as a string: 7 and 7.0 as "7"; None where it is null or no number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def label_where(file: str, row: int) -> str:
    """Return the place of a row of a label file, in the form that rejects use."""
    return f"{file}:{row}"


def bad_row(file: str, row: int, detail: str) -> Reject:
    """Return the reject of a row that names no sample that could be taken."""
    return Reject(RejectReason.ROW_FIELDS, label_where(file, row), None, None, 1, detail)


def plain(column: Any) -> Any:
    """Return a column of a table as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.array([], column.type)


def label_batch(
    columns: Mapping[str, Any], file: int, rows: npt.NDArray[np.integer[Any]], name: str
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64], list[Reject]]:
    """Check some rows of a label file and bring them into the form of ``LABEL_SCHEMA``.

    Args:
        columns: The columns by name: strings for ``TEXTS`` and ``box_id``, double for ``BOX``, double or int32 for
            ``SIZES``. Any but ``path`` may be missing.
        file: The number of the label file.
        rows: The numbers of the rows in it, from 1.
        name: The path of the label file.

    Returns:
        The rows that can be taken, their positions among ``rows``, and a reject for each of the others.
    """
    count = len(rows)
    arrays: dict[str, Any] = {
        "file": pa.array(np.full(count, file, np.int16)),
        "row": pa.array(rows.astype(np.int32)),
    }
    faults: dict[int, str] = {}
    for field_ in list(LABEL_SCHEMA)[2:]:
        given = columns.get(field_.name)
        if given is None:
            arrays[field_.name] = pa.nulls(count, field_.type)
            continue
        given = plain(given)
        if pa.types.is_floating(field_.type):
            arrays[field_.name] = given
        elif pa.types.is_integer(field_.type):
            arrays[field_.name] = _sizes(given)
        else:
            texts = given if pa.types.is_large_string(given.type) else given.cast(pa.large_string())
            texts = pc.if_else(pc.is_in(texts, _NOTHING), pa.scalar(None, pa.large_string()), texts)
            if field_.name == "path":
                texts = plain_paths(texts)
            _check_lengths(texts, field_.name, faults)
            arrays[field_.name] = texts.dictionary_encode() if pa.types.is_dictionary(field_.type) else texts
    missing = arrays["path"].is_null().to_numpy(zero_copy_only=False)
    faults |= dict.fromkeys(np.flatnonzero(missing).tolist(), "names no image")
    if "x" in columns:
        for axis in BOX:
            absent = arrays[axis].is_null().to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(absent).tolist():
                faults.setdefault(row, f"the box has no number {axis}")
    batch = pa.RecordBatch.from_arrays([arrays[name].cast(type_) for name, type_ in _FIELDS], names=LABEL_SCHEMA.names)
    rejects = [bad_row(name, int(rows[row]), detail) for row, detail in sorted(faults.items())]
    is_taken = np.ones(count, bool)
    is_taken[list(faults)] = False
    taken = np.flatnonzero(is_taken)
    return batch if len(taken) == count else batch.take(pa.array(taken)), taken, rejects


_NOTHING = pa.array(["", "nan", "NaN"], pa.large_string())
"""Strings that say nothing: pandas writes a gap as the last two, where it made a column of numbers one of strings."""

_FIELDS = [(field_.name, field_.type) for field_ in LABEL_SCHEMA]


def _sizes(values: Any) -> Any:
    """Return sizes of frames as int32; null where they are no positive whole numbers."""
    numbers = values.cast(pa.float64())
    is_size = pc.and_(pc.and_(pc.greater(numbers, 0), pc.less(numbers, 2.0**31)), pc.equal(pc.floor(numbers), numbers))
    return pc.if_else(is_size, numbers, pa.scalar(None, pa.float64())).cast(pa.int32())


def _check_lengths(texts: Any, name: str, faults: dict[int, str]) -> None:
    """Add the rows whose string is too long to be taken, or cannot be part of a name."""
    limit = LONGEST_PATH if name == "path" else LONGEST_TEXT
    is_long = pc.greater(pc.utf8_length(texts), limit)
    if name == "path":
        is_long = pc.or_(is_long, pc.greater(pc.binary_length(texts), 1024))
    for row in _true_rows(is_long):
        faults.setdefault(row, f"{name} has more than {limit} characters")
    if name == "box_id":
        for row in _true_rows(pc.match_substring(texts, "#")):
            faults.setdefault(row, f"box_id {texts[row].as_py()!r} holds a #")
    if name == "id_kind":
        kinds = pa.array(["labelled", "unlabelled", "distractor", "junk"], pa.large_string())
        for row in _true_rows(pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, kinds)))):
            kind = texts[row].as_py()
            faults.setdefault(row, f"id_kind is {kind!r}: it can be labelled, unlabelled, distractor or junk")


def _true_rows(flags: Any) -> list[int]:
    rows: list[int] = np.flatnonzero(flags.fill_null(False).to_numpy(zero_copy_only=False)).tolist()
    return rows


def join_batches(batches: Sequence[pa.RecordBatch], schema: pa.Schema = LABEL_SCHEMA) -> pa.Table:
    """Return batches as a table whose columns have one chunk each."""
    table = pa.Table.from_batches(batches, schema)
    return table.unify_dictionaries().combine_chunks()
