"""All crops of one frame: in the bitstream where that can be, through pixels where it must."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.crop.bitstream import Header, JpegError, NotJpegError, UnsupportedJpegError, crop_jpeg, read_header
from pipeline.crop.geometry import CropPlan, Rectangle, plan_lossless, plan_reencode
from pipeline.crop.pixels import UndecodableError, decode_frame, encode_crops
from pipeline.options import Options
from shards_spec.rejects import RejectReason

MAX_FRAME_PIXELS = 64_000_000
"""Thirty times City1M's frames; decoded, 192 MB. What claims to be larger is rejected before anything is decoded."""

Box = tuple[float, float, float, float]


class FrameFaultError(Exception):
    """The frame gives no crops, and never will."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Crop:
    """One person's image and what its sidecar says of it. Fields as in ``Sidecar``."""

    image: bytes
    rectangle: Rectangle
    image_size: tuple[int, int]
    roi: Rectangle
    encoding: Literal["lossless", "reencoded"]


@dataclass(frozen=True, slots=True)
class FrameCrops:
    """What a frame gave."""

    frame_size: tuple[int, int]
    """Width and height in pixels."""
    crops: list[Crop | None]
    """For each box its crop, or None where the box lies wholly outside the frame."""
    clamped: int
    """Boxes that lie partly outside the frame."""


def cut_frame(data: bytes, boxes: Sequence[Box], options: Options) -> FrameCrops:
    """Cut every box out of a frame.

    Args:
        data: the frame's file.
        boxes: x, y, width, height in pixels of the frame, finite.
        options: ``crop``, ``margin``, ``quality`` and ``size`` say how.

    Raises:
        FrameFaultError: the frame is too large, or is not an image that can be decoded whole.
    """
    header = _read_header(data)
    if header is not None and header.ineligible is None and options.crop == "lossless" and options.size is None:
        with contextlib.suppress(UnsupportedJpegError):  # what only the scan shows: the pixel way takes it
            return _cut_bitstream(data, header, boxes, options.margin)
    try:
        image = decode_frame(data, MAX_FRAME_PIXELS)
    except UndecodableError as error:
        raise FrameFaultError(RejectReason.FRAME_UNDECODABLE, str(error)) from error
    plans = [plan_reencode(box, options.margin, image.size) for box in boxes]
    images = encode_crops(
        image, [plan.crop for plan in plans if plan is not None], quality=options.quality, size=options.size
    )
    return _assemble(image.size, boxes, plans, images, "reencoded", options.size)


def _read_header(data: bytes) -> Header | None:
    """The frame's JPEG header, or None where it is no JPEG."""
    try:
        header = read_header(data)
    except NotJpegError:
        return None
    except JpegError as error:
        raise FrameFaultError(RejectReason.FRAME_UNDECODABLE, str(error)) from error
    if header.width * header.height > MAX_FRAME_PIXELS:
        detail = f"{header.width}x{header.height} pixels are over the limit of {MAX_FRAME_PIXELS}"
        raise FrameFaultError(RejectReason.FRAME_TOO_LARGE, detail)
    return header


def _cut_bitstream(data: bytes, header: Header, boxes: Sequence[Box], margin: int) -> FrameCrops:
    frame_size = (header.width, header.height)
    mcu_size = (header.mcu_width, header.mcu_height)
    subsampled = (header.subsampled_horizontally, header.subsampled_vertically)
    plans = [plan_lossless(box, margin, frame_size, mcu_size, subsampled) for box in boxes]
    try:
        images = crop_jpeg(data, [plan.crop for plan in plans if plan is not None])
    except UnsupportedJpegError:
        raise
    except JpegError as error:
        raise FrameFaultError(RejectReason.FRAME_UNDECODABLE, str(error)) from error
    return _assemble(frame_size, boxes, plans, images, "lossless", None)


def _assemble(
    frame_size: tuple[int, int],
    boxes: Sequence[Box],
    plans: Sequence[CropPlan | None],
    images: Sequence[bytes],
    encoding: Literal["lossless", "reencoded"],
    size: tuple[int, int] | None,
) -> FrameCrops:
    width, height = frame_size
    clamped = 0
    crops: list[Crop | None] = []
    remaining = iter(images)
    for box, plan in zip(boxes, plans, strict=True):
        if plan is None:
            crops.append(None)
            continue
        clamped += box[0] < 0 or box[1] < 0 or box[0] + box[2] > width or box[1] + box[3] > height
        if size is None:
            image_size, roi = (plan.crop.width, plan.crop.height), plan.roi
        else:
            image_size = (size[1], size[0])
            roi = _scaled(plan.roi, (plan.crop.width, plan.crop.height), image_size)
        crops.append(Crop(next(remaining), plan.crop, image_size, roi, encoding))
    return FrameCrops(frame_size, crops, clamped)


def _scaled(roi: Rectangle, crop_size: tuple[int, int], image_size: tuple[int, int]) -> Rectangle:
    """Where ``roi`` comes to lie when the crop is resized, rounded outwards."""
    across, down = image_size[0] / crop_size[0], image_size[1] / crop_size[1]
    left, top = math.floor(roi.left * across), math.floor(roi.top * down)
    right = min(math.ceil(roi.right * across), image_size[0])
    bottom = min(math.ceil(roi.bottom * down), image_size[1])
    return Rectangle(left, top, right - left, bottom - top)
