"""Crops by way of pixels: decoded, cut, resized if asked for, and encoded anew with Pillow(-SIMD)."""

import importlib.metadata
import io
import struct
import warnings
import zlib
from collections.abc import Sequence

import PIL
from PIL import Image, features

from shards_spec.geometry import Rectangle

READABLE_FORMATS = ("JPEG", "PNG", "WEBP")
"""What a frame may be. Pillow reads dozens more, each a decoder that hostile input would reach."""


class UndecodableError(ValueError):
    """The bytes are not an image that Pillow decodes whole."""


def decode_frame(data: bytes, max_pixels: int) -> Image.Image:
    """Decode a frame to 8-bit gray or RGB.

    Args:
        data: the image file, one of ``READABLE_FORMATS``.
        max_pixels: an image with more is not decoded.

    Raises:
        UndecodableError: with what is wrong with it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images (checked below) and odd EXIF data (not used)
            image = Image.open(io.BytesIO(data), formats=READABLE_FORMATS)
            if image.width * image.height > max_pixels:
                raise UndecodableError(f"{image.width}x{image.height} pixels are over the limit of {max_pixels}")
            image.load()
            return image if image.mode in {"L", "RGB"} else image.convert("RGB")
    except PIL.UnidentifiedImageError as error:
        # Pillow's own words hold the address of a Python object, and details of rejects are bytes of the set.
        raise UndecodableError(f"not an image of a format that is read ({', '.join(READABLE_FORMATS)})") from error
    # The data is in memory, so OSError is Pillow's word for bytes that it cannot decode; the rest is what its decoders
    # let through for damaged input.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError) as error:
        raise UndecodableError(str(error) or type(error).__name__) from error


def encode_crops(
    image: Image.Image, rectangles: Sequence[Rectangle], *, quality: int, size: tuple[int, int] | None
) -> list[bytes]:
    """Cut rectangles out of a decoded frame and encode each as a baseline JPEG.

    Args:
        image: the frame.
        rectangles: left, top, width, height in pixels, inside the frame.
        quality: of the JPEG, 1 to 100; chroma is halved both ways (4:2:0), as it is in the frames.
        size: height and width in pixels to resize each crop to (bicubic, with antialiasing), or None to keep its own.
    """
    crops = []
    for left, top, width, height in rectangles:
        box = (left, top, left + width, top + height)
        crop = image.crop(box) if size is None else image.resize(size[::-1], Image.Resampling.BICUBIC, box=box)
        buffer = io.BytesIO()
        crop.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
        crops.append(buffer.getvalue())
    return crops


def pillow_version() -> str:
    """Which Pillow is running, for people and for the plan's digest: ``Pillow-SIMD 12.1.1.post0, libjpeg-turbo 2.1.5``.

    Pillow-SIMD and Pillow own the same import name, so whichever was installed last is there, whatever pip lists.
    """
    name = "Pillow-SIMD" if is_pillow_simd() else "Pillow"
    turbo = features.version_feature("libjpeg_turbo")
    return f"{name} {PIL.__version__}, " + (f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}")


def is_pillow_simd() -> bool:
    """Whether the running Pillow is Pillow-SIMD, whose versions end in ``.postN``."""
    return ".post" in PIL.__version__


def installed_pillows() -> list[str]:
    """The distributions that claim the import name ``PIL``: two of them overwrite each other."""
    return sorted(
        f"{distribution.name} {distribution.version}"
        for distribution in importlib.metadata.distributions()
        if distribution.name.lower().replace("_", "-") in {"pillow", "pillow-simd"}
    )
