"""The columns of tables: which of them mean something, and their values in the types that are used."""

import contextlib
import math
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.tables.labels.table import BOX, SIZES, TEXTS, spell
from shards_spec.variants.tables.extra import LONGEST_TEXT

FILE_COLUMN = "file"
"""The column with the image's path; it is called ``path`` in ``LABEL_SCHEMA``."""

KNOWN: Final = (FILE_COLUMN, *TEXTS[1:], "box_id", *BOX, *SIZES)
"""Columns that mean something. All others are further ones, which samples keep as they are."""


_ARROW_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.large_string()}

EXACT = 2**53
"""Up to this, every whole number is a double. Where larger ones stand among fractions, all become strings."""


def is_scalar(type_: pa.DataType) -> bool:
    """Return whether the values of a column are numbers, truth values, strings or times."""
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    checks = (
        *(pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
        *(pa.types.is_temporal, pa.types.is_null),
    )
    return is_text(plain) or any(check(plain) for check in checks)


def is_text(type_: pa.DataType) -> bool:
    """Return whether the values of a column are strings."""
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(type_) for check in checks)


def is_too_long(values: Any) -> bool:
    """Return whether a string of a column is longer than a sample can keep it."""
    return is_text(values.type) and (pc.max(pc.binary_length(values)).as_py() or 0) > LONGEST_TEXT


def typed(name: str, values: Any) -> Any:
    """Return a column as it is used: numbers for boxes, strings for what is known, and one of four types otherwise."""
    if pa.types.is_dictionary(values.type):
        values = _decoded(values)
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    if name in BOX or name in SIZES:
        return _numbers(values)
    if name in KNOWN:
        return _texts(values)
    if pa.types.is_boolean(values.type):
        return values
    if pa.types.is_floating(values.type):
        return values.cast(pa.float64())
    if pa.types.is_integer(values.type):
        with contextlib.suppress(pa.ArrowInvalid):  # unsigned numbers of 64 bits may be larger
            return values.cast(pa.int64())
    return values.cast(pa.large_string())


def _decoded(values: Any) -> Any:
    """Return the values of codes. Strings are cut off where it is certain that they are too long to be taken."""
    names = values.dictionary
    if is_too_long(names):
        names = pc.utf8_slice_codeunits(names, 0, LONGEST_TEXT + 1)
    return names.take(values.indices)


def _texts(values: Any) -> Any:
    """Return ids as strings: whole numbers without a fraction, even where a gap made a column floating-point."""
    if pa.types.is_floating(values.type):
        return pa.array([spell(value) for value in values.to_pylist()], pa.large_string())
    return values.cast(pa.large_string())


def _numbers(values: Any) -> Any:
    """Return numbers as double; null where a string is none."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values.cast(pa.float64())
    trimmed = pc.utf8_trim_whitespace(values)
    try:
        return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), None, trimmed).cast(pa.float64())
    except pa.ArrowInvalid:
        return pa.array([_number(text) for text in trimmed.to_pylist()], pa.float64())


def _number(text: str | None) -> float | None:
    with contextlib.suppress(ValueError):
        return None if text is None else float(text)
    return None


def from_values(name: str, values: list[Any]) -> Any:
    """Return the values of a JSON field as a column."""
    kinds = {*map(type, values)} - {type(None)}
    with contextlib.suppress(OverflowError, pa.ArrowInvalid):  # a whole number that the type cannot hold
        if name in BOX or name in SIZES:
            if kinds <= {int, float}:
                return pa.array(values, pa.float64())
        elif len(kinds) == 1 and (name not in KNOWN or kinds <= {int, str}):
            (kind,) = kinds
            column = pa.array(values, _ARROW_TYPES[kind])
            return column.cast(pa.large_string()) if name in KNOWN else column
    return _mixed(name, values, kinds)


def _mixed(name: str, values: list[Any], kinds: set[type]) -> Any:
    """Return values of several types as a column."""
    if name in BOX or name in SIZES:
        return pa.array([_number_of(value) for value in values], pa.float64())
    if name in KNOWN:
        return pa.array([spell(value) for value in values], pa.large_string())
    if not kinds:
        return pa.nulls(len(values), pa.bool_())
    if kinds <= {int, float} and all(
        value is None or abs(value) <= EXACT or isinstance(value, float) for value in values
    ):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(spell(value)) for value in values], pa.large_string())


def _number_of(value: Any) -> float | None:
    if isinstance(value, str):
        return _number(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf
