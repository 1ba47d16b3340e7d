"""WebP, which Pillow reads only if it was built with libwebp: ``make setup`` installs its headers where it may."""

import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards_spec.images import MAX_PIXELS, ImageError, ImageTooLargeError, decode_image, readable_formats

pytestmark = pytest.mark.skipif("WEBP" not in readable_formats(), reason="this Pillow was built without libwebp")

PIXELS = np.random.default_rng(3).integers(0, 255, (40, 60, 4), np.uint8)
PICTURE = Image.fromarray(PIXELS[..., :3])
SMOOTH = PICTURE.resize((6, 4)).resize((60, 40), Image.Resampling.BICUBIC)


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


LOSSY, LOSSLESS = saved(SMOOTH, quality=90), saved(PICTURE, lossless=True)
EXTENDED = saved(PICTURE, lossless=True, icc_profile=b"profile" * 20)
ANIMATED = saved(PICTURE, lossless=True, save_all=True, append_images=[SMOOTH], duration=40)


def test_lossless_pixels_are_those_that_were_written() -> None:
    assert (LOSSLESS[12:16], EXTENDED[12:16]) == (b"VP8L", b"VP8X")
    for data in (LOSSLESS, EXTENDED):
        assert decode_image(data).tobytes() == PICTURE.tobytes()


def test_lossy_pixels_are_near_those_that_were_written() -> None:
    assert LOSSY[12:16] == b"VP8 "
    image = decode_image(LOSSY)
    assert (image.mode, image.size) == ("RGB", SMOOTH.size)
    assert np.abs(np.asarray(image).astype(int) - np.asarray(SMOOTH)).mean() < 4


def test_transparency_is_dropped() -> None:
    data = saved(Image.fromarray(PIXELS), lossless=True, exact=True)
    assert decode_image(data).tobytes() == PICTURE.tobytes()


def test_an_animation_is_refused_with_the_number_of_its_pictures() -> None:
    with pytest.raises(ImageError, match="an animation of 2 pictures: which of them is meant is not known"):
        decode_image(ANIMATED)


def test_a_size_over_the_limits_takes_no_memory() -> None:
    """libwebp takes eight bytes a pixel for a canvas as soon as a file is opened: here, two gigabytes."""
    huge = EXTENDED[:24] + (16_383).to_bytes(3, "little") * 2 + EXTENDED[30:]
    with pytest.raises(ImageTooLargeError, match="16384x16384 pixels are over the limit"):
        decode_image(huge)


@pytest.mark.parametrize("data", [LOSSY, LOSSLESS, EXTENDED], ids=["lossy", "lossless", "extended"])
def test_a_file_that_is_not_whole_is_refused(data: bytes) -> None:
    for end in (12, 20, 29, len(data) // 2, len(data) - 2):
        with pytest.raises(ImageError):
            decode_image(data[:end])
    with pytest.raises(ImageError, match=r"a WebP without image data where it must begin, but b'EXIF'"):
        decode_image(data[:12] + b"EXIF" + data[16:])


@pytest.mark.parametrize("data", [LOSSY, LOSSLESS, ANIMATED], ids=["lossy", "lossless", "animated"])
def test_damage_gives_an_image_or_an_error(data: bytes) -> None:
    generator = random.Random(len(data))
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(min(len(damaged), 200))] = generator.choice((0, 255, generator.randrange(256)))
        try:
            image = decode_image(bytes(damaged))
        except ImageError as error:
            outcomes.add(type(error).__name__)
        else:
            outcomes.add(image.mode)
            assert image.width * image.height <= MAX_PIXELS
    assert "ImageError" in outcomes
