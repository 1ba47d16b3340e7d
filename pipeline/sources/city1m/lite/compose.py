"""A frame put together: crops scaled into their boxes on a background, the farthest first. A pure function."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from PIL import Image

from pipeline.crop.pixels import encode_crop
from shards_spec.geometry import Rectangle

QUALITY = 90
"""JPEG quality of the frames."""


_LARGEST = 1e9
"""Pixels beyond which a number is none of a box in a frame."""


class Placed(NamedTuple):
    """A member in a frame."""

    crop: Image.Image
    box: tuple[float, float, float, float]
    """Left, top, width and height in pixels of the frame; finite numbers."""
    depth: float
    """Distance from the camera."""


def compose_frame(background: Image.Image, members: Iterable[Placed]) -> tuple[bytes, int]:
    """Draw members in front of a background.

    A crop is a rectangle that shows its member and some of the street in which it was taken, and there are no masks. So
    a crop covers all of its box, and nearer members cover those behind them. Of a box that reaches beyond the frame,
    only the part inside is drawn.

    Returns:
        The frame as a JPEG, and how many members it shows: those whose box is neither empty nor wholly outside.
    """
    frame = background.convert("RGB")
    drawn = 0
    for member in sorted(members, key=lambda member: (-member.depth, member.box)):
        drawn += _draw(frame, member)
    return encode_crop(frame, Rectangle(0, 0, *frame.size), quality=QUALITY, size=None), drawn


def _draw(frame: Image.Image, member: Placed) -> bool:
    x, y, width, height = member.box
    if width <= 0 or height <= 0 or max(map(abs, member.box)) > _LARGEST:
        return False
    left, top = math.floor(x), math.floor(y)
    right, bottom = max(math.ceil(x + width), left + 1), max(math.ceil(y + height), top + 1)
    inside = max(left, 0), max(top, 0), min(right, frame.width), min(bottom, frame.height)
    size = inside[2] - inside[0], inside[3] - inside[1]
    if size[0] <= 0 or size[1] <= 0:
        return False
    across, down = member.crop.width / (right - left), member.crop.height / (bottom - top)
    part = (inside[0] - left) * across, (inside[1] - top) * down, (inside[2] - left) * across, (inside[3] - top) * down
    if part[2] <= part[0] or part[3] <= part[1]:  # of a box so large that a pixel of the frame is nothing of the crop
        return False
    crop = member.crop.convert("RGB").resize(size, Image.Resampling.BICUBIC, box=part)
    frame.paste(crop, inside[:2])
    return True
