"""Crops cut in the JPEG bitstream: nothing is decoded, nothing is compressed a second time.

The work is done in C (`core/jpeg_crop.h` tells how), without the GIL held. What comes out keeps the frame's own Huffman
and quantisation tables, so that its pixels are the frame's; `geometry` says which rectangle to cut for that to hold bit
by bit in a given box.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.crop._core import Cropper


class JpegError(ValueError):
    """A JPEG that could not be read or cropped in its bitstream."""


class NotJpegError(JpegError):
    """The data does not begin as a JPEG does."""


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


# In the order of `enum crop_status` in core/jpeg_crop.h.
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
        ineligible: Why `crop_jpeg` does not take it; None where it does.
    """

    width: int
    height: int
    components: int
    mcu_width: int
    mcu_height: int
    subsampled_horizontally: bool
    subsampled_vertically: bool
    ineligible: str | None


class _Croppers(threading.local):
    """A cropper for each thread: it keeps look-up tables and buffers, and serves one thread at a time."""

    def __init__(self) -> None:
        self.cropper = Cropper(_ERROR_TYPES)


_croppers = _Croppers()


def read_header(data: bytes) -> Header:
    """Read a JPEG's header, of eligible JPEGs and others, without looking at the scan.

    Raises:
        NotJpegError: The data is no JPEG.
        CorruptJpegError: The header breaks the standard.
        TruncatedJpegError: The data ends inside the header.
    """
    return Header(*_croppers.cropper.read_header(data))


def crop_jpeg(data: bytes, rectangles: Sequence[tuple[int, int, int, int]]) -> list[bytes]:
    """Cut rectangles out of a JPEG, without loss.

    Only the data down to the lowest rectangle is read: damage below it goes unseen.

    Args:
        data: A JPEG that `read_header` does not call ineligible.
        rectangles: (left, top, width, height) in pixels, inside the frame, left and top on the MCU grid.

    Returns:
        A JPEG for each rectangle, in their order.

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
        del result  # an exception's traceback holds this frame: holding the exception here would make a cycle


def crop_jpegs(
    frames: Sequence[tuple[bytes, Sequence[tuple[int, int, int, int]]]],
) -> list[list[bytes] | JpegError]:
    """Cut rectangles out of any number of JPEGs: what `crop_jpeg` gives for each, in less time.

    They are cut two at a time, in this thread: while one waits for a look-up, the processor works on the other. So an
    even number is best, and more than two at once gain nothing.

    Args:
        frames: JPEGs with their rectangles, each as `crop_jpeg` takes them.

    Returns:
        For each frame, in their order, its crops, or the error that `crop_jpeg` would raise for it.
    """
    return _croppers.cropper.crop(frames)
