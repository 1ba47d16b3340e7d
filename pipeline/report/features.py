"""The types of a variant's samples as Hugging Face datasets takes them from a dataset card.

Without them the library infers types from the first samples, and fails where these hold nulls and empty lists.
"""

import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from shards_spec.variants import Variant
from shards_spec.variants.base import SIDECAR

_SCALARS = {str: "string", int: "int64", float: "float64", bool: "bool"}

Feature = dict[str, Any]


def sample_features(variant: Variant, protocols: Sequence[str]) -> list[Feature]:
    """Return the features of a variant's samples, in the form that a card's ``dataset_info`` has.

    Files that only some samples have are not among them.

    Args:
        variant: The variant of the set.
        protocols: The protocols of the set.
    """
    files = [
        {"name": extension, "dtype": "image" if extension == variant.image else "binary"} for extension in variant.files
    ]
    further = [{"name": name, "dtype": type_} for name, type_ in variant.extra]
    sidecar = {"name": SIDECAR, "struct": _struct(variant.sidecar, protocols, further)}
    return [*files, sidecar, {"name": "__key__", "dtype": "string"}, {"name": "__url__", "dtype": "string"}]


def _struct(struct: type[msgspec.Struct], protocols: Sequence[str], further: Sequence[Feature] = ()) -> list[Feature]:
    hints = typing.get_type_hints(struct, include_extras=True)
    found = []
    for name in struct.__struct_fields__:
        if name == "splits":
            found.append({"name": name, "struct": [{"name": protocol, "sequence": "string"} for protocol in protocols]})
        elif name == "extra":
            found += [{"name": name, "struct": list(further)}] if further else []
        elif (feature := _feature(hints[name], protocols)) is not None:
            found.append({"name": name, **feature})
    return found


def _feature(hint: Any, protocols: Sequence[str]) -> Feature | None:
    """Return a type's feature without its name; None for a type that leaves the names of fields open."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _feature(arguments[0], protocols)
    if origin in {Union, types.UnionType}:  # every feature may be null
        (inner,) = (one for one in arguments if one is not type(None))
        return _feature(inner, protocols)
    if origin is Literal:
        return {"dtype": "string"}
    if origin in {list, tuple}:
        inner = _feature(arguments[0], protocols)
        return (
            None if inner is None else {"list": inner["struct"]} if "struct" in inner else {"sequence": inner["dtype"]}
        )
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return {"struct": _struct(hint, protocols)}
    return {"dtype": _SCALARS[hint]} if hint in _SCALARS else None
