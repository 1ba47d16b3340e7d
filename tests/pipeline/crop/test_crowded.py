"""Frames that ask for more than any camera's could: refused before memory is taken for their crops."""

import io
import os

import pytest
from PIL import Image

from pipeline.crop import frame as frame_module
from pipeline.crop.bitstream import CropsTooLargeError, crop_jpegs
from pipeline.crop.frame import MAX_CROP_PIXELS, FrameCrops, FrameFault, cut_frames
from pipeline.options import CutOptions
from shards_spec.rejects import RejectReason

WIDTH, HEIGHT = 1920, 1080
WHOLE = (0, 0, WIDTH, HEIGHT)
BOX = (0.0, 0.0, float(WIDTH), float(HEIGHT))
FITTING = MAX_CROP_PIXELS // (WIDTH * HEIGHT)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def noise() -> bytes:
    """As large a file as a frame's can be: nothing in it can be compressed."""
    return jpeg(Image.frombytes("RGB", (WIDTH, HEIGHT), os.urandom(3 * WIDTH * HEIGHT)))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return jpeg(Image.new("RGB", (WIDTH, HEIGHT), "gray"))


def test_no_memory_is_taken_for_more_crops_than_the_core_may_make(noise: bytes, plain: bytes) -> None:
    count = (256 << 20) // (2 * len(noise))
    fitting, crowded = crop_jpegs([(noise, [WHOLE] * (count - 1)), (noise, [WHOLE] * (count + 1))])
    assert isinstance(fitting, list)
    assert len(fitting) == count - 1
    assert isinstance(crowded, CropsTooLargeError)
    assert str(crowded).startswith(f"{count + 1} crops may take ")
    assert str(crowded).endswith(" bytes together: at most 268435456 are taken")
    (alone,) = crop_jpegs([(plain, [WHOLE] * (count + 1))])
    assert isinstance(alone, list)


@pytest.mark.parametrize("options", [CutOptions(), CutOptions(margin=8)])
def test_a_frame_whose_crops_have_too_many_bytes_is_crowded_and_its_neighbour_is_not(
    noise: bytes, plain: bytes, options: CutOptions
) -> None:
    crowded, other = cut_frames([(noise, [BOX] * 200), (plain, [BOX] * 200)], options)
    assert isinstance(crowded, FrameFault)
    assert crowded.reason is RejectReason.IMAGE_CROWDED
    assert isinstance(other, FrameCrops)
    assert len(other.crops) == 200


@pytest.mark.parametrize("options", [CutOptions(), CutOptions(crop="reencode")])
def test_a_frame_whose_crops_have_too_many_pixels_is_crowded(plain: bytes, options: CutOptions) -> None:
    (crowded,) = cut_frames([(plain, [BOX] * (FITTING + 1))], options)
    assert isinstance(crowded, FrameFault)
    assert crowded == FrameFault(
        RejectReason.IMAGE_CROWDED,
        f"{FITTING + 1} crops have {(FITTING + 1) * WIDTH * HEIGHT} pixels together: at most 1024000000 are taken",
    )


def test_the_margin_counts_and_boxes_outside_do_not(plain: bytes) -> None:
    small, outside = (5.0, 5.0, 20.0, 50.0), (-50.0, 5.0, 20.0, 50.0)
    (fitting,) = cut_frames([(plain, [small] * FITTING + [outside] * 500)], CutOptions(margin=10_000))
    assert isinstance(fitting, FrameCrops)
    (crowded,) = cut_frames([(plain, [small] * (FITTING + 1))], CutOptions(margin=10_000))
    assert isinstance(crowded, FrameFault)


def test_the_size_that_crops_are_brought_to_counts(plain: bytes) -> None:
    options = CutOptions(size=(8_000, 8_000))
    (crowded,) = cut_frames([(plain, [(5.0, 5.0, 20.0, 50.0)] * 17)], options)
    assert isinstance(crowded, FrameFault)
    assert crowded.detail == "17 crops have 1088000000 pixels together: at most 1024000000 are taken"


def test_crops_that_are_encoded_anew_have_a_limit_of_bytes(noise: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_module, "MAX_CROP_BYTES", 2 * len(noise))
    (crowded,) = cut_frames([(noise, [BOX] * 50)], CutOptions(crop="reencode", quality=95))
    assert isinstance(crowded, FrameFault)
    assert crowded.reason is RejectReason.IMAGE_CROWDED
    assert crowded.detail.startswith("the first 3 crops take ")
