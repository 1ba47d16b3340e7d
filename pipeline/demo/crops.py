"""Crops of single persons, as a detector cuts them out of street scenes."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.demo.appearance import Appearance
from pipeline.demo.person import draw_person

_QUALITY = 80


def render_crop(looks: Appearance, background: NDArray[np.uint8], random: np.random.Generator) -> Image.Image:
    """Draw a person in front of a part of a street.

    Args:
        looks: What the person looks like.
        background: The empty street as an RGB array, (1080, 1920, 3).
        random: Decides the size, the pose, the place and the light.

    Returns:
        An RGB image of about 60x140 pixels.
    """
    height = int(random.integers(110, 171))
    width = int(height * random.uniform(0.38, 0.48))
    light = 1.0 if random.random() < 0.5 else -1.0
    sprite = draw_person(
        looks,
        column=width * float(random.uniform(0.44, 0.56)),
        feet=height * 0.96,
        scale=height * 0.88 / looks.stature,
        turn=float(random.uniform(0, 2 * np.pi)),
        phase=float(random.uniform(0, 2 * np.pi)),
        light=light,
    )
    image = _street(background, random).resize((width, height), Image.Resampling.BILINEAR)
    image.paste(sprite.image.convert("RGB"), (sprite.left, sprite.top), sprite.image.getchannel("A"))
    pixels = np.asarray(image, np.float32) * np.float32(random.uniform(0.7, 1.1))
    pixels += 3 * random.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encode_crop(image: Image.Image, **options: object) -> bytes:
    """Return a crop as a JPEG: baseline and 4:2:0 unless the options of Pillow's writer say otherwise."""
    stream = BytesIO()
    image.save(stream, "JPEG", **{"quality": _QUALITY, "subsampling": "4:2:0", **options})
    return stream.getvalue()


def _street(background: NDArray[np.uint8], random: np.random.Generator) -> Image.Image:
    """Return an upright part of the street at the height at which people walk."""
    height = int(random.integers(200, 420))
    width = int(height * 0.43)
    top = int(random.integers(300, background.shape[0] - height))
    left = int(random.integers(0, background.shape[1] - width))
    return Image.fromarray(background[top : top + height, left : left + width])
