"""All crops of a frame, cut in the bitstream if possible and from decoded pixels otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.crop.bitstream import (
    CropsTooLargeError,
    JpegError,
    NotJpegError,
    UnsupportedJpegError,
    check_jpegs,
    crop_jpegs,
    read_header,
)
from pipeline.crop.pixels import encode_crop
from pipeline.options import CutOptions
from shards_spec.geometry import CropPlan, Rectangle, image_plan, plan_lossless, plan_reencode
from shards_spec.images import MAX_PIXELS, ImageError, ImageTooLargeError, check_size, decode_image
from shards_spec.rejects import RejectReason

MAX_CROP_PIXELS = 16 * MAX_PIXELS
"""Most pixels that all crops of one frame may have together: nearly five hundred Full HD frames."""

MAX_CROP_BYTES = 128 << 20
"""Most bytes that the re-encoded crops of one frame may take together. The core has its own limit for those that it
cuts."""

Box = tuple[float, float, float, float]


class FrameFault(NamedTuple):
    """Why a frame has no crops, now and on every later attempt."""

    reason: RejectReason
    detail: str
    """What failed, with the values, for people to read."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One person's image, and what its sidecar says about it. The fields are those of ``Sidecar``."""

    image: bytes
    rectangle: Rectangle
    image_size: tuple[int, int]
    roi: Rectangle
    encoding: Literal["lossless", "reencoded"]


@dataclass(frozen=True, slots=True)
class FrameCrops:
    """The crops of a frame."""

    frame_size: tuple[int, int]
    """Width and height in pixels."""
    crops: list[Crop | None]
    """The crop of each box; None if the box lies wholly outside the frame."""


def cut_frames(frames: Sequence[tuple[bytes, Sequence[Box]]], options: CutOptions) -> list[FrameCrops | FrameFault]:
    """Cut every box out of each frame. Two frames together take less time than one after the other.

    Args:
        frames: The frames' files, each with its boxes: x, y, width and height in pixels of the frame, all finite.
        options: The options of the conversion, of which ``crop``, ``margin``, ``quality`` and ``size`` are used.

    Returns:
        For each frame, in order, its crops or a fault: the frame is too large, its crops would be too large together,
        or it is not an image that can be decoded whole.
    """
    plans = [_plan_bitstream(data, boxes, options) for data, boxes in frames]
    cut = iter(
        crop_jpegs(
            [
                (data, [crop.crop for crop in plan.crops if crop is not None])
                for (data, _), plan in zip(frames, plans, strict=True)
                if isinstance(plan, _BitstreamPlan)
            ]
        )
    )
    outcomes: list[FrameCrops | FrameFault] = []
    for (data, boxes), plan in zip(frames, plans, strict=True):
        if isinstance(plan, FrameFault):
            outcomes.append(plan)
            continue
        images = None if plan is None else next(cut)
        if plan is None or images is None or isinstance(images, UnsupportedJpegError):  # only the scan may tell
            outcomes.append(_cut_pixels(data, boxes, options))
        elif isinstance(images, CropsTooLargeError):
            outcomes.append(FrameFault(RejectReason.IMAGE_CROWDED, str(images)))
        elif isinstance(images, JpegError):
            outcomes.append(FrameFault(RejectReason.IMAGE_UNDECODABLE, str(images)))
        else:
            outcomes.append(_assemble(plan.frame_size, plan.crops, images, "lossless", None))
    return outcomes


class _BitstreamPlan(NamedTuple):
    """What to cut out of a frame in its bitstream."""

    frame_size: tuple[int, int]
    crops: list[CropPlan | None]


def _plan_bitstream(data: bytes, boxes: Sequence[Box], options: CutOptions) -> _BitstreamPlan | FrameFault | None:
    """Plan the cuts in the bitstream; return None if the frame must be cut from its pixels."""
    try:
        header = read_header(data)
    except NotJpegError:
        return None
    except JpegError as error:
        return FrameFault(RejectReason.IMAGE_UNDECODABLE, str(error))
    try:
        check_size(header.width, header.height)
    except ImageError as error:
        return _fault(error)
    if header.ineligible is not None:
        return None
    if options.crop != "lossless" or options.size is not None:
        return _damage(data)
    frame_size = (header.width, header.height)
    mcu_size = (header.mcu_width, header.mcu_height)
    subsampled = (header.subsampled_horizontally, header.subsampled_vertically)
    crops = [plan_lossless(box, options.margin, frame_size, mcu_size, subsampled) for box in boxes]
    return _crowding(crops, None) or _BitstreamPlan(frame_size, crops)


def _damage(data: bytes) -> FrameFault | None:
    """Return a fault if a frame's scan is damaged. Pillow would say nothing, and fill what it cannot read with gray."""
    (result,) = check_jpegs([data])
    if isinstance(result, JpegError) and not isinstance(result, UnsupportedJpegError):
        return FrameFault(RejectReason.IMAGE_UNDECODABLE, str(result))
    return None


def _crowding(plans: Sequence[CropPlan | None], size: tuple[int, int] | None) -> FrameFault | None:
    """Return a fault if all crops of a frame together are too large: one frame must not cause unlimited work.

    Args:
        plans: What to cut.
        size: The height and width that each crop is resized to; None if crops keep their size.
    """
    crops = [plan.crop for plan in plans if plan is not None]
    cut = sum(crop.width * crop.height for crop in crops)
    pixels = cut if size is None else max(cut, len(crops) * size[0] * size[1])
    if pixels <= MAX_CROP_PIXELS:
        return None
    detail = f"{len(crops)} crops have {pixels} pixels together: at most {MAX_CROP_PIXELS} are taken"
    return FrameFault(RejectReason.IMAGE_CROWDED, detail)


def _cut_pixels(data: bytes, boxes: Sequence[Box], options: CutOptions) -> FrameCrops | FrameFault:
    try:
        image = decode_image(data)
    except ImageError as error:
        return _fault(error)
    plans = [plan_reencode(box, options.margin, image.size) for box in boxes]
    crowding = _crowding(plans, options.size)
    if crowding is not None:
        return crowding
    images = []
    encoded = 0
    for plan in plans:
        if plan is not None:
            images.append(encode_crop(image, plan.crop, quality=options.quality, size=options.size))
            encoded += len(images[-1])
            if encoded > MAX_CROP_BYTES:
                detail = f"the first {len(images)} crops take {encoded} bytes: at most {MAX_CROP_BYTES} are taken"
                return FrameFault(RejectReason.IMAGE_CROWDED, detail)
    return _assemble(image.size, plans, images, "reencoded", options.size)


def _fault(error: ImageError) -> FrameFault:
    too_large = isinstance(error, ImageTooLargeError)
    return FrameFault(RejectReason.IMAGE_TOO_LARGE if too_large else RejectReason.IMAGE_UNDECODABLE, str(error))


def _assemble(
    frame_size: tuple[int, int],
    plans: Sequence[CropPlan | None],
    images: Sequence[bytes],
    encoding: Literal["lossless", "reencoded"],
    size: tuple[int, int] | None,
) -> FrameCrops:
    crops: list[Crop | None] = []
    remaining = iter(images)
    for plan in plans:
        if plan is None:
            crops.append(None)
            continue
        image_size, roi = image_plan(plan, size)
        crops.append(Crop(next(remaining), plan.crop, image_size, roi, encoding))
    return FrameCrops(frame_size, crops)
