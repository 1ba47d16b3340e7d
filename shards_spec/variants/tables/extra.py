"""Further columns of a table, which sidecars keep in ``extra`` and an index in columns ``extra_<name>``."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import msgspec

from shards_spec.errors import SpecError
from shards_spec.manifest import GIVEN, Decision

Scalar = str | int | float | bool | None
ExtraType = Literal["bool", "int64", "float64", "string"]

EXTRA = "extra"
"""The field of the sidecar, and the decision with the types of the columns."""
MOST_COLUMNS = 64
"""Most further columns that a set has. Metadata of an index grows with each."""
LONGEST_TEXT = 1024
"""Most bytes of a string in such a column: the largest that an index may hold."""

_NAME = re.compile(r"\w{1,64}")
_NOT_ALLOWED = re.compile(r"\W")
_LONGEST_NAME = 64
_TYPES: Mapping[str, type] = {"bool": bool, "int64": int, "float64": float, "string": str}
_INT64 = range(-(2**63), 2**63)


def rename_columns(names: Iterable[str]) -> dict[str, str]:
    """Return the name that each column of a table has in ``extra``.

    Letters and digits of any script and ``_`` stay; any other character becomes ``_``, and only the first 64 are kept.
    A name that another column has already gets ``_2``, ``_3`` and so on.

    Args:
        names: The different names of the columns, in their order.
    """
    renamed: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = _NOT_ALLOWED.sub("_", name)[:_LONGEST_NAME] or "_"
        spelled, number = stem, 1
        while spelled in taken:
            number += 1
            ending = f"_{number}"
            spelled = stem[: _LONGEST_NAME - len(ending)] + ending
        taken.add(spelled)
        renamed[name] = spelled
    return renamed


def encode_extra(values: Mapping[str, Any], types: Mapping[str, ExtraType]) -> str:
    """Return the JSON object that a catalog keeps of a sample's further columns.

    Args:
        values: The values by name. A name that is not there, NaN and infinite numbers count as null.
        types: The type of each column, in their order.

    Raises:
        SpecError: A value does not fit the type of its column.
    """
    complete = {name: _finite(values.get(name)) for name in types}
    check_extra(complete, types)
    return msgspec.json.encode(complete).decode()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_extra(values: Mapping[str, Any], types: Mapping[str, ExtraType]) -> None:
    """Raise ``SpecError`` unless there is a value of the right type, or null, for each further column, in order."""
    if list(values) != list(types):
        raise SpecError(f"extra has {', '.join(values) or 'no columns'}, but the set {', '.join(types) or 'none'}")
    for name, value in values.items():
        if value is None:
            continue
        if type(value) is not _TYPES[types[name]]:
            raise SpecError(f"extra: {name} is {value!r}, which is no {types[name]}")
        if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > LONGEST_TEXT:
            raise SpecError(f"extra: {name} has more than {LONGEST_TEXT:,} bytes")
        if types[name] == "int64" and value not in _INT64:
            raise SpecError(f"extra: {name} is {value}, which is no int64")


class ExtraEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from the columns of the tables that have no meaning of their own in this format."""

    question: ClassVar[str] = "Which further columns do the labels have?"
    meanings: ClassVar[Mapping[str, str]] = {
        "columns": "Those that are named here: they are kept in the sidecars and the index.",
        "none": "None.",
    }

    columns: dict[str, ExtraType]
    """The columns that are kept and the type of each, in their order."""

    def choice(self) -> Literal["columns", "none"]:
        """Return ``columns`` if there are any."""
        return "columns" if self.columns else "none"

    def sentence(self) -> str:
        """Return the columns as a sentence for people."""
        listed = ", ".join(f"{name} ({type_})" for name, type_ in self.columns.items())
        return f"These are {listed}." if listed else "Nothing is left over."


def read_extra(decisions: Mapping[str, Decision]) -> dict[str, ExtraType]:
    """Return the further columns of a set and their types, as the decision of this name has them.

    Raises:
        SpecError: The decision is not in the form that the format gives it, or names columns that it does not allow.
    """
    decision = decisions.get(EXTRA)
    if decision is None or decision.evidence == GIVEN:
        return {}
    try:
        columns = msgspec.convert(decision.evidence, ExtraEvidence).columns
    except msgspec.ValidationError as error:
        raise SpecError(f"decisions: {EXTRA}: evidence: {error}") from error
    if len(columns) > MOST_COLUMNS:
        raise SpecError(f"decisions: {EXTRA}: {len(columns)} columns, but a set has at most {MOST_COLUMNS}")
    for name in columns:
        if _NAME.fullmatch(name) is None:
            raise SpecError(f"decisions: {EXTRA}: {name!r} is no name of a column")
    return columns
