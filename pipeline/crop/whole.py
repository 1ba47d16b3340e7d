"""Whole images that are taken over as they are: checked from end to end, and left untouched if they are JPEGs."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from pipeline.crop.bitstream import (
    CheckedJpeg,
    JpegError,
    NotJpegError,
    UnsupportedJpegError,
    check_jpegs,
    read_header,
)
from pipeline.crop.pixels import encode_crop
from shards_spec.geometry import Rectangle
from shards_spec.images import MAX_SIDE, ImageError, ImageTooLargeError, check_size, decode_image, decode_jpeg
from shards_spec.rejects import RejectReason

REENCODED_QUALITY = 95
"""The JPEG quality of images in other formats, which are encoded anew."""


class ImageFault(NamedTuple):
    """Why an image cannot be taken over, now and on every later attempt."""

    reason: RejectReason
    detail: str
    """What failed, with the values, for people to read."""


class WholeImage(msgspec.Struct, frozen=True, gc=False):
    """An image that can be decoded whole."""

    jpeg: bytes
    """The source's own bytes if they are a JPEG; otherwise the image encoded anew."""
    size: tuple[int, int]
    """Width and height in pixels, as stored."""
    encoding: Literal["source", "reencoded"]
    orientation: int
    """The Exif orientation that a JPEG states, 1 to 8 (Exif 2.32, 4.6.4); 1 is upright, and the value if there is none.
    It is not applied: boxes and sizes in datasets are those of the stored pixels."""


def take_over(images: Sequence[bytes]) -> list[WholeImage | ImageFault]:
    """Check images and take them over.

    A baseline JPEG is checked in its bitstream, by one walk over its scan. Two images together take less time than one
    after the other. Any other JPEG, and an image in another readable format, is decoded once by Pillow.

    Args:
        images: The images' files.

    Returns:
        For each file, in order, its image, or a fault: it is too large, or no image that can be decoded whole.
    """
    return [
        # An image of at most MAX_SIDE pixels is within every limit. Most are, and a call for each would take long.
        WholeImage(data, (result.width, result.height), "source", result.orientation)
        if type(result) is CheckedJpeg and 0 < result.width * result.height <= MAX_SIDE
        else _take_over(data, result)
        for data, result in zip(images, check_jpegs(images), strict=True)
    ]


def _take_over(data: bytes, result: CheckedJpeg | JpegError) -> WholeImage | ImageFault:
    try:
        if isinstance(result, CheckedJpeg):
            check_size(result.width, result.height)
            return WholeImage(data, (result.width, result.height), "source", result.orientation)
        if isinstance(result, NotJpegError):
            return _reencode(data)
        if isinstance(result, UnsupportedJpegError):
            return WholeImage(data, decode_jpeg(data).size, "source", read_header(data).orientation)
        return ImageFault(RejectReason.IMAGE_UNDECODABLE, str(result))
    except ImageTooLargeError as error:
        return ImageFault(RejectReason.IMAGE_TOO_LARGE, str(error))
    except ImageError as error:
        return ImageFault(RejectReason.IMAGE_UNDECODABLE, str(error))


def _reencode(data: bytes) -> WholeImage:
    image = decode_image(data)
    jpeg = encode_crop(image, Rectangle(0, 0, *image.size), quality=REENCODED_QUALITY, size=None)
    return WholeImage(jpeg, image.size, "reencoded", 1)
