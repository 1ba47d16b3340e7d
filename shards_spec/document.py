"""Writes the parts of the specification that follow from the types: the JSON Schemas and the tables of SPEC.md.

``python -m shards_spec.document`` rewrites them; a test checks that they agree with the types.
"""

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from shards_spec.index import index_schema
from shards_spec.manifest import (
    Account,
    Cell,
    Decision,
    IndexFile,
    Manifest,
    Origin,
    SetFile,
    ShardFile,
    SourceFile,
    Totals,
)
from shards_spec.options import CommonOptions, CutOptions, option_ranges
from shards_spec.rejects import Note, Noted, Reject, RejectReason
from shards_spec.variants import Variant
from shards_spec.variants.registry import VARIANTS

FOLDER = Path(__file__).parent
SPEC_FILE = FOLDER / "SPEC.md"
SCHEMA_FOLDER = FOLDER / "schemas"


def schemas() -> dict[str, str]:
    """Return, by file name, the JSON Schema (draft 2020-12) of each JSON document of the format."""
    named: dict[str, Any] = {f"sidecar.{variant.name}.json": variant.sidecar for variant in VARIANTS}
    named |= {"manifest.json": Manifest, "reject.json": Reject}
    return {name: json.dumps(_schema(type_), indent=2) + "\n" for name, type_ in named.items()}


def specification(text: str) -> str:
    """Return SPEC.md with the parts between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` rewritten."""
    for name, build in _PARTS.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"SPEC.md has no part between {begin.strip()} and {end}")
        text = f"{before}{begin}{build()}\n{end}{after}"
    return text


def _schema(type_: Any) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(type_)}


def documented(type_: type) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the annotation or value, and the docstring of each attribute, base structs first."""
    for base in type_.__bases__:
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            yield from documented(base)
    (definition,) = ast.parse(inspect.getsource(type_)).body
    assert isinstance(definition, ast.ClassDef)
    for node, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            name, what = ast.unparse(node.target), ast.unparse(node.annotation)
            if what.startswith("ClassVar["):  # no field
                continue
        elif isinstance(node, ast.Assign):
            name, what = ast.unparse(node.targets[0]), str(ast.literal_eval(node.value))
        else:
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split()).replace("``", "`")
        yield name, what, text


_ALIASES = {
    "Box": "tuple[float, float, float, float]",
    "FrameSize|ImageSize": "Pair",
    "Crop|Roi": "Rectangle",
    "Splits": "dict[str, list[str]]",
    "Time": "day or night",
    "LabelText|PathText": "str",
    "IdKind": "labelled, unlabelled, distractor or junk",
    "Scalar": "str or int or float or bool or None",
    "CellShuffle": "groups, units or none",
}
"""Names of types that the tables spell out."""


def _annotation(text: str) -> str:
    """Return a type in a form for people who do not know Python."""
    text = re.sub(r"Annotated\[(\w+(?:\[[^]]*\])?), .*\]", r"\1", text)
    text = re.sub(
        r"\b(Count|PositiveCount|Int32|Length|Ordinal|SamplesPerShard|Seed|Margin|Quality|Side)\b", "int", text
    )
    text = re.sub(r"\b(Name|Sha256|Example)\b", "str", text)
    for alias, spelled in _ALIASES.items():
        text = re.sub(rf"\b{alias}\b", spelled, text)
    return text.replace("|", "or").replace('"', "")


def _fields(*types: type[Any]) -> Callable[[], str]:
    def table() -> str:
        rows = []
        for type_ in types:
            if len(types) > 1:
                rows += [f"\n**{type_.__name__}**. {(inspect.getdoc(type_) or '').replace('``', '`')}\n"]
            rows += ["| field | type | meaning |", "|---|---|---|"]
            rows += [f"| `{name}` | {_annotation(what)} | {text} |" for name, what, text in documented(type_)]
        return "\n".join(rows)

    return table


def _codes(type_: type[StrEnum]) -> Callable[[], str]:
    def table() -> str:
        return "\n".join(
            ["| code | meaning |", "|---|---|", *(f"| `{value}` | {text} |" for _, value, text in documented(type_))]
        )

    return table


def _columns(variant: Variant) -> Callable[[], str]:
    def table() -> str:
        columns = index_schema(variant, ["p1", "p2"])
        rows = [f"| `{one.name}` | {one.type}{' or null' if one.nullable else ''} |" for one in columns]
        return "\n".join(["| column | Arrow type |", "|---|---|", *rows])

    return table


def _options(group: type[msgspec.Struct]) -> Callable[[], str]:
    def table() -> str:
        hints, ranges = get_type_hints(group), option_ranges(group)
        rows = []
        for name, what, text in documented(group):
            choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
            values = ", ".join(f"`{value}`" for value in choices) or _annotation(what)
            rows.append(f"| `{name}` | {values} | {ranges.get(name, '')} | {text} |")
        return "\n".join(["| field | type | range | meaning |", "|---|---|---|---|", *rows])

    return table


def _structs_in(type_: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs that fields have lists of."""
    for hint in get_type_hints(type_).values():
        for element in get_args(hint) if get_origin(hint) is list else ():
            if isinstance(element, type) and issubclass(element, msgspec.Struct):
                yield element


def _of_variant(variant: Variant) -> dict[str, Callable[[], str]]:
    """Return the parts that every variant has, by name."""
    parts: dict[str, Callable[[], str]] = {
        "sidecar": _fields(variant.sidecar, *_structs_in(variant.sidecar)),
        "index": _columns(variant),
        "decisions": _fields(*variant.decisions.values()),
    }
    for group in variant.options:
        if group not in {CommonOptions, CutOptions}:
            parts["options"] = _options(group)
    return {f"{name} of {variant.name}": build for name, build in parts.items()}


_PARTS: dict[str, Callable[[], str]] = {
    "rejects": _fields(Reject),
    "reasons": _codes(RejectReason),
    "notes": _codes(Note),
    "options": _options(CommonOptions),
    "options of cutting": _options(CutOptions),
    "manifest": _fields(
        Manifest, Origin, SourceFile, Decision, Cell, IndexFile, ShardFile, Totals, Account, Noted, SetFile
    ),
    **{name: build for variant in VARIANTS for name, build in _of_variant(variant).items()},
}


def main() -> None:
    """Write the schemas and the tables."""
    SPEC_FILE.write_text(specification(SPEC_FILE.read_text()))
    for name, text in schemas().items():
        (SCHEMA_FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
