"""The sidecar of ``city1m``, and what follows from its fields: the key and the identity."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shards_spec.jsons import Length, Ordinal
from shards_spec.keys import check_key
from shards_spec.variants.fields import Box, Crop, FrameSize, ImageSize, Roi, Splits, Time


class Sidecar(msgspec.Struct, frozen=True):
    """What is known of a crop. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    frame: Annotated[str, Meta(min_length=1)]
    """Name of the frame that the crop was cut from, without its extension."""
    group_id: str
    """The group, as spelled in the frame's name."""
    person_id: Ordinal
    """As labelled: the member's number in its group, or the person's in the dataset; see the decision
    ``identity_scope``."""
    identity: str
    """Names the person across the set: ``<group_id>-<person_id>``, or ``<person_id>`` where ids are global."""
    camera: Ordinal
    """Number of the camera, as in the frame's name."""
    time: Time
    """When the frame was taken, as in its name."""
    depth: float
    """Distance of the person, as labelled; the dataset does not document its unit."""
    box: Box
    """Left, top, width and height in pixels of the frame, as labelled; the box may reach beyond the frame."""
    frame_size: FrameSize
    """Width and height of the frame in pixels."""
    crop: Crop
    """The part of the frame that the image shows, in pixels of the frame."""
    image_size: ImageSize
    """Width and height of the image in the shard; they differ from those of ``crop`` only where crops were resized."""
    roi: Roi
    """Where the box, rounded outwards and clamped to the frame, lies in the image. Readers cut this part out."""
    encoding: Literal["lossless", "reencoded"]
    """How the image was made: cut in the bitstream, or encoded anew."""
    members: Length
    """Number of samples of this frame."""
    splits: Splits
    """Protocol to the sorted splits that the frame is in."""


def make_key(frame: str, person_id: int) -> str:
    """Return the key of a sample, ``<frame>_p<person id>``; raise ``SpecError`` if it does not match the pattern."""
    return check_key(f"{frame}_p{person_id}")


def make_identity(group_id: str, person_id: int, *, is_global: bool) -> str:
    """Return what names a person across the set: the id alone where ids are global, else with the group."""
    return str(person_id) if is_global else f"{group_id}-{person_id}"
