"""The sidecar of ``city1m-lite``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shards_spec.jsons import Length, Ordinal
from shards_spec.variants.fields import Box, ImageSize, Roi, Splits, Time


class Sidecar(msgspec.Struct, frozen=True):
    """What is known of a crop. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    image: Annotated[str, Meta(min_length=1)]
    """Path of the image from its folder of crops on, as spelled: `Image_2_crop/0009501/0.jpg`."""
    group_id: str
    """The group, as spelled in the label files."""
    person_id: Ordinal
    """The file's name: the member's number in its group, or the person's in the dataset; see the decision
    ``identity_scope``."""
    identity: str
    """Names the person across the set: ``<group_id>-<person_id>``, or ``<person_id>`` where ids are global."""
    frames: Length
    """In how many frames the label files name this member of the group."""
    frame: str | None
    """Name of the frame that the crop was cut from, if its path has one; null where it belongs to the group as a
    whole."""
    camera: Ordinal | None
    """Number of the camera, as in the frame's name; null without a frame."""
    time: Time | None
    """When the frame was taken, as in its name; null without a frame."""
    depth: float | None
    """Distance of the person, as labelled; null where ``box`` is."""
    box: Box | None
    """Left, top, width and height in pixels of the frame, as labelled; null without a frame, and where its labels
    leave the box open: it is labelled twice, or a number is NaN or infinite."""
    members: Length
    """How many persons the label files name in the group."""
    image_size: ImageSize
    """Width and height of the image in pixels."""
    roi: Roi
    """The whole image."""
    encoding: Literal["source", "reencoded"]
    """How the image was made: taken over as it was, or encoded anew because it was no JPEG."""
    splits: Splits
    """Protocol to the sorted splits that the frame is in, or, without a frame, that any frame of the group is in."""
