"""Crops cut in the JPEG bitstream, without decoding or compressing anything a second time.

The C code (described in ``core/jpeg_crop.h``) does the work and releases the GIL meanwhile. A crop keeps the frame's
own Huffman and quantisation tables, so its pixels are the frame's. ``geometry`` says which rectangle to cut so that
this holds bit by bit within a given box.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pipeline.crop._core import Cropper


class JpegError(ValueError):
    """A JPEG that could not be read or cropped in its bitstream."""


class NotJpegError(JpegError):
    """The data does not begin like a JPEG."""


class UnsupportedJpegError(JpegError):
    """A JPEG of a kind that can only be cropped through its pixels."""


class CorruptJpegError(JpegError):
    """The data breaks the JPEG standard in a part that was read."""


class TruncatedJpegError(JpegError):
    """The data ends before everything needed had been read."""


class RectangleError(JpegError):
    """A rectangle is empty, leaves the frame, or does not begin on the MCU grid."""


class CropsTooLargeError(JpegError):
    """All crops of a frame together would take too much memory."""


# In the order of ``enum crop_status`` in core/jpeg_crop.h.
_ERROR_TYPES: tuple[type[JpegError], ...] = (
    NotJpegError,
    UnsupportedJpegError,
    CorruptJpegError,
    TruncatedJpegError,
    RectangleError,
    CropsTooLargeError,
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG's header says.

    Attributes:
        width: Pixels.
        height: Pixels; 0 where the height follows only behind the scan (DNL), which makes the JPEG ineligible.
        components: 1 for grayscale, 3 for colour, 4 for CMYK.
        mcu_width: Pixels between the columns of the grid on which crops begin: 8, 16, 24 or 32.
        mcu_height: Pixels between its rows.
        subsampled_horizontally: Some component has fewer samples across than another.
        subsampled_vertically: Some component has fewer samples down than another.
        orientation: As Exif states it, 1 to 8 (Exif 2.32, 4.6.4); 1, which is upright, where it states none.
        ineligible: Why ``crop_jpeg`` does not take it; None where it does.
    """

    width: int
    height: int
    components: int
    mcu_width: int
    mcu_height: int
    subsampled_horizontally: bool
    subsampled_vertically: bool
    orientation: int
    ineligible: str | None


class CheckedJpeg(msgspec.Struct, frozen=True, gc=False):
    """A JPEG that libjpeg decodes whole, without a warning."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    components: int
    """1 for grayscale, 3 for colour, 4 for CMYK."""
    orientation: int
    """As Exif states it, 1 to 8; 1 if it states none."""


class _Croppers(threading.local):
    """One cropper for each thread: a cropper keeps look-up tables and buffers, and serves one thread at a time."""

    def __init__(self) -> None:
        self.cropper = Cropper(_ERROR_TYPES)


_croppers = _Croppers()


def read_header(data: bytes) -> Header:
    """Read the header of any JPEG, eligible or not, without looking at the scan.

    Raises:
        NotJpegError: The data is no JPEG.
        CorruptJpegError: The header breaks the standard.
        TruncatedJpegError: The data ends inside the header.
    """
    return Header(*_croppers.cropper.read_header(data))


def crop_jpeg(data: bytes, rectangles: Sequence[tuple[int, int, int, int]]) -> list[bytes]:
    """Cut rectangles out of a JPEG without loss.

    Only the data down to the lowest rectangle is read, so damage below it goes unnoticed.

    Args:
        data: A JPEG that ``read_header`` does not call ineligible.
        rectangles: (left, top, width, height) in pixels, inside the frame, left and top on the MCU grid.

    Returns:
        One JPEG for each rectangle, in the order of the rectangles.

    Raises:
        NotJpegError: The data is no JPEG.
        UnsupportedJpegError: The JPEG is of a kind to be cropped through its pixels.
        CorruptJpegError: The data breaks the standard in a part that was needed.
        TruncatedJpegError: The data ends before the lowest rectangle does.
        RectangleError: A rectangle is empty, leaves the frame, or does not begin on the MCU grid.
        CropsTooLargeError: The crops together would take too much memory.
    """
    (result,) = crop_jpegs([(data, rectangles)])
    try:
        if isinstance(result, JpegError):
            raise result
        return result
    finally:
        del result  # an exception's traceback refers to this frame, so keeping the exception here would make a cycle


def crop_jpegs(
    frames: Sequence[tuple[bytes, Sequence[tuple[int, int, int, int]]]],
) -> list[list[bytes] | JpegError]:
    """Cut rectangles out of any number of JPEGs, in less time than calling ``crop_jpeg`` for each.

    The JPEGs are cut two at a time in the calling thread: while one waits for a table look-up, the processor works on
    the other. An even number is therefore best, and passing more than two gains nothing.

    Args:
        frames: JPEGs with their rectangles, each as ``crop_jpeg`` takes them.

    Returns:
        For each frame, in order, its crops or the error that ``crop_jpeg`` would raise for it.
    """
    return _croppers.cropper.crop(frames)


def check_jpegs(images: Sequence[bytes]) -> list[CheckedJpeg | JpegError]:
    """Check JPEGs from end to end, in an eighteenth of the time that decoding them takes.

    The scan of a baseline JPEG is read over as for cropping, and no pixel is made. What follows the end of the image is
    ignored, as decoders do. Like ``crop_jpegs``, this takes two images at a time.

    Args:
        images: Files of any content.

    Returns:
        For each file, in order, what its header says if libjpeg decodes it whole without a warning, or an error: one of
        those that ``crop_jpeg`` raises. An ``UnsupportedJpegError`` says nothing about the image: only a decoder can
        tell. Whole bytes that are left before a marker, and coefficients beyond a block's last, are errors here, though
        libjpeg passes over some of them.
    """
    return [
        result if isinstance(result, JpegError) else CheckedJpeg(*result) for result in _croppers.cropper.check(images)
    ]
