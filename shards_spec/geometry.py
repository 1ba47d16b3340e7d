"""Which part of a frame a crop shows, and where the box lies in it. The writer and ``verify`` both follow these rules.

This is pure arithmetic in pixels of the frame. Boxes are (x, y, width, height) in floating-point numbers, as labelled;
everything else is in whole pixels.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

MIN_WIDTH_OF_HALVED_CHROMA = 5
"""Least width in pixels of a crop whose chroma is subsampled horizontally. libjpeg smooths chroma between neighbouring
samples ("fancy upsampling"), but not in rows of two samples or fewer, so a narrower crop would show other colours."""


class Rectangle(NamedTuple):
    """A part of an image, in pixels. Right and bottom are exclusive."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """Return the column after the last one."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """Return the row after the last one."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class CropPlan:
    """The part of a frame to cut for a box.

    Attributes:
        crop: The part of the frame that the image shows.
        roi: The place of the box, rounded outwards and clamped to the frame, in that image.
    """

    crop: Rectangle
    roi: Rectangle


def rounded_box(box: tuple[float, float, float, float], frame_size: tuple[int, int]) -> Rectangle | None:
    """Round a box outwards to whole pixels and clamp it to the frame.

    The pixel in which a box begins belongs to it, however narrow the box is: x + width may even round to x.

    Args:
        box: x, y, width and height, which are finite numbers of any size.
        frame_size: Width and height in pixels.

    Returns:
        The rectangle, or None if the box is empty or lies wholly outside the frame.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    if not all(map(math.isfinite, box)):
        raise ValueError(f"a box needs finite numbers, not {box}")
    x, y, width, height = box
    left, right = _rounded_span(x, width, frame_size[0])
    top, bottom = _rounded_span(y, height, frame_size[1])
    if width <= 0 or height <= 0 or left >= right or top >= bottom:
        return None
    return Rectangle(left, top, right - left, bottom - top)


def _rounded_span(start: float, length: float, limit: int) -> tuple[int, int]:
    # Clamp before the conversion to an integer, because ``start + length`` may be infinite.
    first, end = math.floor(min(max(start, 0.0), limit)), math.ceil(min(max(start + length, 0.0), limit))
    return first, max(end, first + 1) if 0 <= start < limit else end


def reencode_rectangle(rounded: Rectangle, margin: int, frame_size: tuple[int, int]) -> Rectangle:
    """Widen a rounded box for a crop that is encoded anew: by the margin and nothing more, clamped to the frame.

    Args:
        rounded: From ``rounded_box``.
        margin: Pixels on each side.
        frame_size: Width and height in pixels.
    """
    left, right = max(rounded.left - margin, 0), min(rounded.right + margin, frame_size[0])
    top, bottom = max(rounded.top - margin, 0), min(rounded.bottom + margin, frame_size[1])
    return Rectangle(left, top, right - left, bottom - top)


def lossless_rectangle(
    rounded: Rectangle,
    margin: int,
    frame_size: tuple[int, int],
    mcu_size: tuple[int, int],
    subsampled: tuple[bool, bool],
) -> Rectangle:
    """Widen a rounded box for a crop cut in the bitstream: in the box and its margin, the pixels are to be the frame's.

    Decoders interpolate subsampled chroma from the neighbouring sample, which at the crop's rim is missing or, right
    and below, hidden behind the crop's size. So the rim is moved out by one pixel on each side, in the directions in
    which chroma is subsampled, then to the MCU grid at the top left. At the frame's own borders, nothing is missing.

    Args:
        rounded: From ``rounded_box``.
        margin: Pixels on each side that are to be exact as well.
        frame_size: Width and height in pixels.
        mcu_size: Width and height in pixels.
        subsampled: Whether chroma is subsampled horizontally, and vertically.
    """
    left, right = _lossless_span(rounded.left, rounded.right, margin + subsampled[0], frame_size[0], mcu_size[0])
    top, bottom = _lossless_span(rounded.top, rounded.bottom, margin + subsampled[1], frame_size[1], mcu_size[1])
    if subsampled[0] and right - left < MIN_WIDTH_OF_HALVED_CHROMA:
        if left + MIN_WIDTH_OF_HALVED_CHROMA <= frame_size[0]:
            right = left + MIN_WIDTH_OF_HALVED_CHROMA
        else:  # in a frame that narrow itself, there is none, and its own chroma is not smoothed
            left = max(left - mcu_size[0], 0)
    return Rectangle(left, top, right - left, bottom - top)


def _lossless_span(start: int, stop: int, widening: int, limit: int, mcu: int) -> tuple[int, int]:
    start = max(start - widening, 0)
    return start - start % mcu, min(stop + widening, limit)


def plan_lossless(
    box: tuple[float, float, float, float],
    margin: int,
    frame_size: tuple[int, int],
    mcu_size: tuple[int, int],
    subsampled: tuple[bool, bool],
) -> CropPlan | None:
    """Plan a crop in the bitstream; see ``lossless_rectangle``. None for a box with no pixel inside the frame."""
    rounded = rounded_box(box, frame_size)
    if rounded is None:
        return None
    return _plan(rounded, lossless_rectangle(rounded, margin, frame_size, mcu_size, subsampled))


def plan_reencode(box: tuple[float, float, float, float], margin: int, frame_size: tuple[int, int]) -> CropPlan | None:
    """Plan a crop that is encoded anew; see ``reencode_rectangle``. None for a box with no pixel inside the frame."""
    rounded = rounded_box(box, frame_size)
    if rounded is None:
        return None
    return _plan(rounded, reencode_rectangle(rounded, margin, frame_size))


def scaled_roi(roi: Rectangle, crop_size: tuple[int, int], image_size: tuple[int, int]) -> Rectangle:
    """Where ``roi`` comes to lie when the crop is resized, rounded outwards.

    Args:
        roi: In pixels of the crop.
        crop_size: Width and height in pixels.
        image_size: Width and height that the crop is resized to.
    """
    across, down = image_size[0] / crop_size[0], image_size[1] / crop_size[1]
    left, top = math.floor(roi.left * across), math.floor(roi.top * down)
    right = min(math.ceil(roi.right * across), image_size[0])
    bottom = min(math.ceil(roi.bottom * down), image_size[1])
    return Rectangle(left, top, right - left, bottom - top)


def image_plan(plan: CropPlan, size: tuple[int, int] | None) -> tuple[tuple[int, int], Rectangle]:
    """Width and height of a crop's image, and where the box lies in it.

    Args:
        plan: What was cut.
        size: Height and width that crops are resized to, or None where they keep their pixels.
    """
    crop_size = (plan.crop.width, plan.crop.height)
    if size is None:
        return crop_size, plan.roi
    image_size = (size[1], size[0])
    return image_size, scaled_roi(plan.roi, crop_size, image_size)


def is_clamped(box: tuple[float, float, float, float], frame_size: tuple[int, int]) -> bool:
    """Whether a box that has pixels inside the frame lies partly outside it."""
    x, y, width, height = box
    return x < 0 or y < 0 or x + width > frame_size[0] or y + height > frame_size[1]


def _plan(rounded: Rectangle, crop: Rectangle) -> CropPlan:
    return CropPlan(crop, Rectangle(rounded.left - crop.left, rounded.top - crop.top, rounded.width, rounded.height))
