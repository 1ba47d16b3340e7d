"""The types of COCO detection JSON, as far as they are read."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shards_spec.errors import UsageError

PERSON_FIELD = "person_id"
OTHER_PERSON_FIELDS: Final = ("instance_id", "track_id", "attributes.person_id", "attributes.track_id")
"""Fields in which some tools keep something that may or may not name a person."""

NO_FIELD = "none"

Id = int | str
Scalar = int | float | str | None


class Category(msgspec.Struct):
    """A category of annotations."""

    id: Id
    name: str


class Image(msgspec.Struct):
    """An image. Tools that know cameras and groups name them in fields such as these, which COCO does not have."""

    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None
    camera: Scalar = None
    camera_id: Scalar = None
    cam_id: Scalar = None
    group_id: Scalar = None


class Annotation(msgspec.Struct, kw_only=True):
    """An annotation: a box, in left, top, width and height in pixels, and what is in it."""

    id: Id | None = None
    image_id: Id
    category_id: Id | None = None
    bbox: list[float | None]
    iscrowd: bool | int | None = None
    segmentation: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    camera: Scalar = None
    camera_id: Scalar = None
    cam_id: Scalar = None


class CocoTop(msgspec.Struct):
    """A file, of which the long lists are not decoded yet."""

    images: msgspec.Raw
    annotations: msgspec.Raw
    categories: list[Category] = []


class _Attributes(msgspec.Struct):
    person_id: Scalar = None
    track_id: Scalar = None


class AutoAnnotation(Annotation, kw_only=True):
    """An annotation with all fields that may name a person."""

    person_id: Scalar = None
    instance_id: Scalar = None
    track_id: Scalar = None
    attributes: _Attributes | None = None


def persons(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields that may name a person, with their values."""
    if isinstance(annotation, AutoAnnotation):
        yield PERSON_FIELD, annotation.person_id
        yield "instance_id", annotation.instance_id
        yield "track_id", annotation.track_id
        if annotation.attributes is not None:
            yield "attributes.person_id", annotation.attributes.person_id
            yield "attributes.track_id", annotation.attributes.track_id


def annotation_type(person_field: str) -> tuple[Any, Any]:
    """Return the type of annotations with a field for the person, and what reads it.

    Raises:
        UsageError: The field has another meaning.
    """
    if person_field == "auto":
        return AutoAnnotation, lambda annotation: annotation.person_id
    if person_field == NO_FIELD:
        return Annotation, lambda _: None
    type_: Any = Scalar
    parts = person_field.split(".")
    if parts[0] in Annotation.__struct_fields__ or not all(parts):
        raise UsageError(
            f"--person-field {person_field}: in COCO JSON, no such field of an annotation names a person: give the one "
            "that does, such as person_id, track_id or attributes.name"
        )
    for part in reversed(parts[1:]):
        type_ = msgspec.defstruct("Inner", [("value", type_ | None, None)], rename={"value": part}) | None
    made = msgspec.defstruct(
        "Annotation", [("person", type_, None)], bases=(Annotation,), kw_only=True, rename={"person": parts[0]}
    )

    def read(annotation: Any) -> Any:
        value = annotation.person
        for _ in parts[1:]:
            value = None if value is None else value.value
        return value

    return made, read
