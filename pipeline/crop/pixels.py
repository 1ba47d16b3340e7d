"""Crops made from pixels: cut out of a decoded frame, resized on request, and re-encoded with Pillow or Pillow-SIMD."""

import importlib.metadata
import io

import PIL
from PIL import Image, features

from shards_spec.geometry import Rectangle
from shards_spec.images import readable_formats, reads_arithmetic_coding


def encode_crop(image: Image.Image, rectangle: Rectangle, *, quality: int, size: tuple[int, int] | None) -> bytes:
    """Cut a rectangle out of a decoded frame and encode it as a baseline JPEG.

    Args:
        image: The decoded frame.
        rectangle: Left, top, width and height in pixels, inside the frame.
        quality: The JPEG quality, 1 to 100. Chroma is subsampled in both directions (4:2:0), as it is in the frames.
        size: The height and width in pixels to resize the crop to (bicubic, with antialiasing); None keeps its own
            size.
    """
    box = (rectangle.left, rectangle.top, rectangle.right, rectangle.bottom)
    crop = image.crop(box) if size is None else image.resize(size[::-1], Image.Resampling.BICUBIC, box=box)
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def pillow_version() -> str:
    """Describe the running Pillow, both for people and for the plan's digest.

    An example is ``Pillow-SIMD 12.1.1.post0 (libjpeg-turbo 2.1.5; reads JPEG, arithmetic-coded JPEG, PNG)``. The
    description includes the formats that the build reads, because a frame in another format becomes a reject.
    Pillow-SIMD and Pillow share an import name, so the one that was installed last is the one that runs, whatever pip
    lists.
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
    """Return whether the running Pillow is Pillow-SIMD, whose versions end in ``.postN``."""
    return ".post" in PIL.__version__


def installed_pillows() -> list[str]:
    """Return the distributions that own the import name ``PIL``; two of them overwrite each other's files."""
    return sorted(
        f"{distribution.name} {distribution.version}"
        for distribution in importlib.metadata.distributions()
        if distribution.name.lower().replace("_", "-") in {"pillow", "pillow-simd"}
    )
