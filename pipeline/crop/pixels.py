"""Crops by way of pixels: cut out of a decoded frame, resized if asked for, and encoded anew with Pillow(-SIMD)."""

import importlib.metadata
import io

import PIL
from PIL import Image, features

from shards_spec.geometry import Rectangle
from shards_spec.images import readable_formats, reads_arithmetic_coding


def encode_crop(image: Image.Image, rectangle: Rectangle, *, quality: int, size: tuple[int, int] | None) -> bytes:
    """Cut a rectangle out of a decoded frame and encode it as a baseline JPEG.

    Args:
        image: the frame.
        rectangle: left, top, width, height in pixels, inside the frame.
        quality: of the JPEG, 1 to 100; chroma is halved both ways (4:2:0), as it is in the frames.
        size: height and width in pixels to resize the crop to (bicubic, with antialiasing), or None to keep its own.
    """
    box = (rectangle.left, rectangle.top, rectangle.right, rectangle.bottom)
    crop = image.crop(box) if size is None else image.resize(size[::-1], Image.Resampling.BICUBIC, box=box)
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def pillow_version() -> str:
    """Describe the running Pillow, for people and for the plan's digest.

    Such as ``Pillow-SIMD 12.1.1.post0 (libjpeg-turbo 2.1.5; reads JPEG, arithmetic-coded JPEG, PNG)``. What a build
    reads is part of it, because a frame in another format becomes a reject. Pillow-SIMD and Pillow own the same import
    name, so the one that was installed last is there, whatever pip lists.
    """
    name = "Pillow-SIMD" if is_pillow_simd() else "Pillow"
    turbo = features.version_feature("libjpeg_turbo")
    libraries = [f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"]
    formats = list(readable_formats())
    if reads_arithmetic_coding():
        formats.insert(1, "arithmetic-coded JPEG")
    if "WEBP" in formats:
        libraries.append(f"libwebp {features.version('webp')}")
    return f"{name} {PIL.__version__} ({', '.join(libraries)}; reads {', '.join(formats)})"


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
