"""Images taken over whole: untouched JPEGs of any kind, others encoded anew, and faults."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.crop.whole import ImageFault, WholeImage, take_over
from shards_spec.images import MAX_PIXELS, decode_jpeg, readable_formats, reads_arithmetic_coding
from shards_spec.rejects import RejectReason
from tests.pipeline.crop.jpeg_variants import Variant, encode, join, render, run, segments
from tests.pipeline.crop.test_check import exif

PIXELS = render(61, 45)
BASELINE = encode(PIXELS, Variant())


def saved(name: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(buffer, name, **options)
    return buffer.getvalue()


def test_jpegs_stay_as_they_are() -> None:
    images = [BASELINE, saved("JPEG", progressive=True), encode(PIXELS, Variant("CMYK")), BASELINE + b"rest"]
    images.append(run("jpegtran", "-rotate", "180", data=BASELINE))
    if reads_arithmetic_coding():
        images.append(run("jpegtran", "-arithmetic", data=BASELINE))
    results = take_over(images)
    assert results == [WholeImage(data, (61, 45), "source", 1) for data in images]
    assert all(
        isinstance(result, WholeImage) and result.jpeg is data for result, data in zip(results, images, strict=True)
    )


@pytest.mark.parametrize("progressive", [False, True])
def test_orientation_is_reported_and_not_applied(progressive: bool) -> None:
    data = saved("JPEG", progressive=progressive, exif=exif("<", [(0x0112, 3, 1, 6)]))
    assert take_over([data]) == [WholeImage(data, (61, 45), "source", 6)]


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_other_formats_are_encoded_anew(name: str) -> None:
    if name not in readable_formats():
        pytest.skip(f"this Pillow does not read {name}")
    (result,) = take_over([saved(name, lossless=True)])
    assert isinstance(result, WholeImage)
    assert (result.size, result.encoding, result.orientation) == ((61, 45), "reencoded", 1)
    decoded = np.asarray(decode_jpeg(result.jpeg)).astype(int)
    assert np.abs(decoded - PIXELS).mean() < 12  # much of it noise in colours, of which a JPEG keeps every fourth
    assert take_over([result.jpeg]) == [WholeImage(result.jpeg, (61, 45), "source", 1)]


def gigantic() -> bytes:
    parts = segments(BASELINE)
    return join(
        [
            (marker, payload[:1] + b"\xff\xdc" * 2 + payload[5:] if marker == 0xC0 else payload)
            for marker, payload in parts
        ]
    )


def test_faults() -> None:
    progressive = saved("JPEG", progressive=True)
    wide = saved("PNG", Image.new("1", (MAX_PIXELS // 100 + 1, 100)))
    expected = {
        b"": (RejectReason.IMAGE_UNDECODABLE, "not an image of a format that is read"),
        b"no image": (RejectReason.IMAGE_UNDECODABLE, "not an image of a format that is read"),
        b"\xff\xd8": (RejectReason.IMAGE_UNDECODABLE, "ends inside the header"),
        BASELINE[:-500]: (RejectReason.IMAGE_UNDECODABLE, "ends inside MCU"),
        BASELINE[:-2]: (RejectReason.IMAGE_UNDECODABLE, "without EOI"),
        progressive[: len(progressive) // 2]: (RejectReason.IMAGE_UNDECODABLE, ""),
        saved("PNG")[:-100]: (RejectReason.IMAGE_UNDECODABLE, "ends inside a chunk"),
        saved("GIF"): (RejectReason.IMAGE_UNDECODABLE, "not an image of a format that is read"),
        gigantic(): (RejectReason.IMAGE_UNDECODABLE, "bytes of data for"),
        wide: (RejectReason.IMAGE_TOO_LARGE, "over the limit"),
    }
    for (reason, words), result in zip(expected.values(), take_over(list(expected)), strict=True):
        assert isinstance(result, ImageFault), words
        assert result.reason == reason
        assert words in result.detail


def test_a_fault_takes_nothing_from_the_image_beside_it() -> None:
    images = [BASELINE, b"", BASELINE, BASELINE[:400], saved("PNG"), BASELINE]
    kinds = ["source", None, "source", None, "reencoded", "source"]
    assert [result.encoding if isinstance(result, WholeImage) else None for result in take_over(images)] == kinds
