"""Whether a sample shows and says what its frame does. These are pure comparisons of pixels that Pillow decoded.

Nothing here uses the core that cuts in the bitstream, so that a fault of the core cannot hide itself.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pipeline.archives import EntryFault
from pipeline.crop.frame import Box
from pipeline.crop.pixels import encode_crop
from pipeline.options import CutOptions
from pipeline.samples.compare import compare_encoded, compare_fields, pixel_differences
from pipeline.samples.sample import Sample
from shards_spec.errors import SpecError
from shards_spec.geometry import Rectangle, reencode_rectangle, rounded_box, scaled_roi
from shards_spec.images import ImageError, decode_image

_END_OF_IMAGE = b"\xff\xd9"


def decode_frame(where: str, content: bytes | EntryFault) -> Image.Image:
    """Return the pixels of a frame that samples were cut out of.

    Args:
        where: Where the frame lies, for messages.
        content: The frame's file, or the reason why it could not be read.

    Raises:
        SpecError: It cannot be read or decoded.
    """
    if isinstance(content, EntryFault):
        raise SpecError(f"{where}, which it was made from: {content.detail}")
    try:
        return decode_image(content)
    except ImageError:
        pass
    # A frame is read only down to its lowest box, so it may be truncated below it. An end marker makes libjpeg fill in
    # what is missing.
    try:
        return decode_image(content + _END_OF_IMAGE)
    except ImageError as error:
        raise SpecError(f"{where}, which it was made from, cannot be decoded: {error}") from error


def compare_crop(
    sample: Sample, wanted: Mapping[str, Any], box: Box, decoded: Image.Image, options: CutOptions, *, is_exact: bool
) -> None:
    """Compare a crop with its frame.

    A losslessly cut crop must have exactly the frame's pixels in the box (rounded outwards, clamped to the frame) and
    in the margin around it. Around these lie what the MCU grid adds, and a rim in which decoders interpolate chroma
    from samples that the crop lacks. Nothing is promised about that area, so it is not compared. A re-encoded crop is
    compared with the frame's pixels after these have gone through the same steps here: exactly if the versions are the
    same, and within ``OTHER_VERSIONS_LEVELS`` otherwise.

    Args:
        sample: The sample, with its image as its only file.
        wanted: What the sidecar must say of the person and the frame, by field.
        box: x, y, width and height in pixels of the frame, as labelled.
        decoded: The whole frame, decoded.
        options: The options of cutting.
        is_exact: Whether the libraries that run here made the set, so that encoding again gives the same bytes.

    Raises:
        SpecError: Something differs; the message says what.
        ImageError: The sample's image cannot be decoded.
    """
    (image,) = sample.files
    data = decode_image(image)
    compare_fields(sample.sidecar, {**wanted, "box": box, "frame_size": decoded.size})
    rounded = rounded_box(box, decoded.size)
    if rounded is None:
        raise SpecError(f"box {list(box)} lies outside the frame of {decoded.width}x{decoded.height} pixels")
    exact = reencode_rectangle(rounded, options.margin, decoded.size)
    if sample.sidecar.encoding == "lossless":
        _compare_lossless(sample.sidecar, data, decoded, rounded, exact, options)
    else:
        _compare_reencoded(sample.sidecar, data, decoded, rounded, exact, options, is_exact=is_exact)


def _compare_lossless(
    sidecar: Any, data: Image.Image, decoded: Image.Image, rounded: Rectangle, exact: Rectangle, options: CutOptions
) -> None:
    if options.crop != "lossless" or options.size is not None:
        raise SpecError("its sidecar says that it was cut losslessly, but the set's options have crops encoded anew")
    crop = Rectangle(*sidecar.crop)
    compare_fields(
        sidecar,
        {
            "roi": (rounded.left - crop.left, rounded.top - crop.top, rounded.width, rounded.height),
            "image_size": (crop.width, crop.height),
        },
    )
    if crop.left > exact.left or crop.top > exact.top or crop.right < exact.right or crop.bottom < exact.bottom:
        raise SpecError(f"its image shows {list(crop)} of the frame, which is not all of box and margin {list(exact)}")
    shown = data.crop(_corners(exact, crop.left, crop.top))
    there = decoded.crop(_corners(exact))
    if shown.mode != there.mode:
        raise SpecError(f"its image is {shown.mode}, but its frame {there.mode}")
    differences = pixel_differences(shown, there)
    if differences.any():
        pixels = np.count_nonzero(differences.reshape(exact.width * exact.height, -1).any(axis=1))
        raise SpecError(
            f"its pixels are not the frame's: {pixels:,} of {exact.width * exact.height:,} differ, by up to "
            f"{differences.max()} levels"
        )


def _compare_reencoded(
    sidecar: Any,
    data: Image.Image,
    decoded: Image.Image,
    rounded: Rectangle,
    crop: Rectangle,
    options: CutOptions,
    *,
    is_exact: bool,
) -> None:
    size = options.size
    image_size = (crop.width, crop.height) if size is None else (size[1], size[0])
    roi = Rectangle(rounded.left - crop.left, rounded.top - crop.top, rounded.width, rounded.height)
    if size is not None:
        roi = scaled_roi(roi, (crop.width, crop.height), image_size)
    compare_fields(sidecar, {"crop": tuple(crop), "image_size": image_size, "roi": tuple(roi)})
    encoded = encode_crop(decoded, crop, quality=options.quality, size=size)
    compare_encoded(data, encoded, "its frame", is_exact=is_exact)


def _corners(area: Rectangle, left: int = 0, top: int = 0) -> tuple[int, int, int, int]:
    """Return an area in the form that Pillow needs, relative to an origin."""
    return area.left - left, area.top - top, area.right - left, area.bottom - top
