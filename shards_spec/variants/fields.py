"""Types of the fields that sidecars of several variants have, and how fields become columns of the index."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from shards_spec.jsons import Length, Ordinal


@dataclass(frozen=True, slots=True)
class Columns:
    """Spreads a field of several values over columns of the index. It is part of the field's annotated type."""

    names: tuple[str, ...]
    """The name of the column of each value."""


Pair = tuple[Length, Length]
Rectangle = tuple[Ordinal, Ordinal, Length, Length]
"""Left, top, width, height in pixels."""

Box = Annotated[tuple[float, float, float, float], Columns(("box_x", "box_y", "box_w", "box_h"))]
FrameSize = Annotated[Pair, Columns(("frame_width", "frame_height"))]
Crop = Annotated[Rectangle, Columns(("crop_left", "crop_top", "crop_width", "crop_height"))]
ImageSize = Annotated[Pair, Columns(("image_width", "image_height"))]
Roi = Annotated[Rectangle, Columns(("roi_left", "roi_top", "roi_width", "roi_height"))]

Time = Literal["day", "night"]
LabelText = Annotated[str, Meta(min_length=1, max_length=250)]
"""What labels call a person or a group. At four bytes a character, an index can hold it and a scope before it."""
PathText = Annotated[str, Meta(min_length=1, max_length=1000)]
"""A path below the source's root, with ``/`` between its parts."""
Splits = dict[str, list[str]]
"""Protocol to its sorted splits. The index has a column ``splits_<protocol>`` for each protocol."""
