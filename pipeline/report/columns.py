"""Which columns of an index the report reads, and what they mean: they follow from the variant's fields."""

import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pipeline.report.codes import field_meanings
from shards_spec.variants import Variant
from shards_spec.variants.base import MORE_FILES

_BOX = frozenset({"box", "frame_size"})


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields of a variant that the report shows. A field that the variant lacks has no section."""

    identity: str | None
    camera: str | None
    group: str | None
    """The field whose values are shown as groups of pictures: the group of persons, else the identity."""
    categories: dict[str, str]
    """Fields with a few values, and what they mean."""
    numbers: dict[str, str]
    """Fields that are one number, other than ids and the camera, and what they mean."""
    image: str | None
    """Extension of the image."""
    sizes: tuple[str, ...]
    """Columns whose sum is the size of a sample: of its image, or without one of all its files but the sidecar. A list
    column has the sizes of the files of which a sample has any number."""
    is_cut: bool
    """Whether samples have a box in a frame, which it may leave."""

    @property
    def time(self) -> str | None:
        """The field with the time of day."""
        return "time" if "time" in self.categories else None


def columns_of(variant: Variant) -> Columns:
    """Return what the report shows of a variant's samples."""
    hints = typing.get_type_hints(variant.sidecar, include_extras=True)
    meanings = field_meanings(variant)
    kinds = {name: _scalar(hints[name]) for name in variant.sidecar.__struct_fields__}
    numbers = [
        name
        for name, kind in kinds.items()
        if kind in {int, float} and name != variant.camera_field and not name.endswith("_id")
    ]
    files = (variant.image,) if variant.image is not None else variant.files
    more = (MORE_FILES,) if variant.image is None and variant.has_more_files else ()
    return Columns(
        identity=variant.identity_field,
        camera=variant.camera_field,
        group=variant.group_field or variant.identity_field,
        categories={name: meanings[name] for name, kind in kinds.items() if kind in {Literal, bool}},
        numbers={name: meanings[name] for name in numbers},
        image=variant.image,
        sizes=tuple(f"{extension}_size" for extension in (*files, *more)),
        is_cut=kinds.keys() >= _BOX,
    )


def _scalar(hint: Any) -> Any:
    """Return ``int``, ``float``, ``str``, ``bool`` or ``Literal``; None for a type of several values."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _scalar(arguments[0])
    if origin in {Union, types.UnionType}:
        inner = [_scalar(one) for one in arguments if one is not type(None)]
        return inner[0] if len(inner) == 1 else None
    if origin is Literal:
        return Literal
    return hint if hint in {int, float, str, bool} else None
