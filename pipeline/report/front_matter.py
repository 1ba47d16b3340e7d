"""The front matter of a card: YAML, in the one form that its few types need."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Value = str | bool | int | Mapping[str, Any] | Sequence[Any]


def front_matter(values: Mapping[str, Value]) -> str:
    """Return YAML between its two lines of dashes. Texts are quoted, as words like ``no`` would be something else."""
    return "\n".join(["---", *_mapping(values), "---"]) + "\n"


def _mapping(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, str | bool | int):
            yield f"{name}: {json.dumps(value)}"
        else:
            yield f"{name}:"
            yield from _mapping_indented(value) if isinstance(value, Mapping) else _sequence(value)


def _mapping_indented(values: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"  {line}" for line in _mapping(values))


def _sequence(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping):
            first, *others = _mapping(value)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
        else:
            yield f"- {json.dumps(value)}"
