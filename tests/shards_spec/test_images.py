"""What decoding makes of images that nobody vouches for."""

import io
import random
import re
import shutil
import struct
import subprocess
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, features

from shards_spec import images
from shards_spec.images import (
    MAX_CHUNKS,
    MAX_PIXELS,
    MAX_SCAN_PIXELS,
    MAX_SCANS,
    MAX_SEGMENTS,
    ImageError,
    ImageTooLargeError,
    decode_image,
    decode_jpeg,
    read_jpeg_header,
    readable_formats,
    reads_arithmetic_coding,
)
from tests.support.bombs import (
    SOF0,
    SOF9,
    chunk,
    frame_header,
    many_scans,
    png,
    scan_header,
    second_frame_header,
    segment,
    tables,
)


def noise(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def arithmetic(image: Image.Image, *options: str) -> bytes:
    if shutil.which("cjpeg") is None or not reads_arithmetic_coding():
        pytest.skip("needs cjpeg (Debian: libjpeg-turbo-progs) and a libjpeg with arithmetic coding")
    command = ["cjpeg", "-arithmetic", "-quality", "95", *options]
    return subprocess.run(command, input=saved(image, "PPM"), stdout=subprocess.PIPE, check=True).stdout


def opened(data: bytes) -> Image.Image:
    """As Pillow by itself decodes it, in one piece."""
    image = Image.open(io.BytesIO(data))
    image.decodermaxblock = len(data)
    image.load()
    return image


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may come so far as to be decoded."""

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("the decoder was reached")

    monkeypatch.setattr(Image, "frombytes", reached)
    monkeypatch.setattr(Image, "open", reached)


JPEGS = {
    "baseline": saved(noise()),
    "restarts": saved(noise(), quality=95, subsampling=0, restart_marker_rows=1),
    "progressive": saved(noise(), progressive=True),
    "marker codes in segments": saved(noise(), comment=b"\xff\xda\xff\xc0\xff\xd9", exif=b"Exif\0\0\xff\xda\xff\xc0"),
    "gray": saved(noise("L")),
    "CMYK": saved(noise("CMYK")),
    "RGB": saved(noise(), keep_rgb=True),
    "fill bytes": saved(noise()).replace(b"\xff\xc0", b"\xff\xff\xff\xc0").replace(b"\xff\xda", b"\xff\xff\xda"),
    "progressive, fill bytes": saved(noise(), progressive=True).replace(b"\xff\xda", b"\xff\xff\xff\xda"),
    "data behind its end": saved(noise(), progressive=True) + b"\xff\xda" * 9999,
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_is_decoded_as_pillow_decodes_it(data: bytes) -> None:
    image, expected = decode_jpeg(data), opened(data)
    assert (image.mode, image.size) == (expected.mode, expected.size)
    assert image.tobytes() == expected.tobytes()
    expected = expected if expected.mode == "L" else expected.convert("RGB")
    assert decode_image(data).tobytes() == expected.tobytes()


@pytest.mark.parametrize("options", [(), ("-progressive",), ("-grayscale", "-restart", "1")], ids=str)
def test_an_arithmetic_coded_jpeg_of_any_size_is_decoded(options: tuple[str, ...]) -> None:
    """libjpeg cannot wait for more data inside a scan of these, so 64 kB at a time, as Pillow reads, are no way."""
    data = arithmetic(noise(size=(400, 300)), *options)
    assert len(data) > ImageFile.MAXBLOCK
    with pytest.raises(OSError, match="broken"), Image.open(io.BytesIO(data)) as image:
        image.load()
    expected = subprocess.run(["djpeg", "-pnm"], input=data, stdout=subprocess.PIPE, check=True).stdout
    assert decode_jpeg(data).tobytes() == opened(expected).tobytes()


PNGS = {
    **{mode: saved(noise(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")},
    "palette with transparency": saved(noise("P"), "PNG", transparency=bytes(range(200))),
    "two bits": saved(noise("L").quantize(4), "PNG", bits=2),
    "16 bits a colour": png((2, 2), (b"\0" + bytes(range(12))) * 2, bits=16),
    "profile and texts": saved(noise(), "PNG", icc_profile=b"x" * 3000, dpi=(72, 72)),
}


@pytest.mark.parametrize("data", PNGS.values(), ids=PNGS)
def test_a_png_is_decoded_as_pillow_decodes_it(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transparency that becomes none
        expected = opened(data)
        expected = expected if expected.mode == "L" else expected.convert("RGB")
    assert decode_image(data).tobytes() == expected.tobytes()


def test_gray_of_16_bits_keeps_its_upper_8() -> None:
    pixels = (np.arange(200 * 160, dtype=np.uint16) * 2).reshape(160, 200)
    assert np.array_equal(np.asarray(decode_image(saved(Image.fromarray(pixels), "PNG"))), pixels >> 8)


def test_an_animation_is_its_first_picture() -> None:
    first, second = noise(), noise().transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    data = saved(first, "PNG", save_all=True, append_images=[second])
    assert decode_image(data).tobytes() == first.tobytes()


def test_the_size_is_read_where_libjpeg_reads_it() -> None:
    whole = saved(noise(size=(300, 200)))
    assert read_jpeg_header(whole) == (3, (300, 200))
    frame, scan = whole.index(b"\xff\xc0"), whole.index(b"\xff\xda")
    for end in range(scan + 5):
        with pytest.raises(ImageError):
            read_jpeg_header(whole[:end])
    for place in (2, frame, scan):
        for marker in (0x00, 0x01, 0x02, 0xC8, 0xD0, 0xD8, 0xD9, 0xDA, 0xDE, 0xDF, 0xF0, 0xFD):
            if (place, marker) != (scan, 0xDA):
                with pytest.raises(ImageError):
                    decode_jpeg(whole[:place] + segment(marker, bytes(9)) + whole[place:])
        with pytest.raises(ImageError, match="no segment"):
            read_jpeg_header(whole[:place] + b"\0" + whole[place:])
        with pytest.raises(ImageError, match="a length of 1"):
            read_jpeg_header(whole[:place] + b"\xff\xe1\0\1" + whole[place:])


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [(4, b"\x0c", "12 bits"), (9, b"\2", "2 components"), (5, b"\0\0", "60x0 pixels"), (7, b"\0\0", "0x40 pixels")],
)
def test_what_a_frame_header_may_not_say(offset: int, value: bytes, what: str) -> None:
    data = bytearray(saved(noise()))
    place = data.index(b"\xff\xc0") + offset
    data[place : place + len(value)] = value
    with pytest.raises(ImageError, match=what):
        decode_jpeg(bytes(data))


BOMBS = {
    "a PNG of 14000x14000": png((14000, 14000), b"\0"),
    "a PNG of 2**31 pixels each way": png((2**31 - 1, 2**31 - 1), b"\0"),
    "a JPEG of 65000x65000": b"\xff\xd8" + tables() + frame_header((65000, 65000), 3, SOF0) + scan_header([1, 2, 3]),
    "a JPEG of 64 million pixels and more": many_scans(3, (64_001, 1000)),
    "a PNG of more pixels across than a JPEG can have": png((65_501, 8), b"\0"),
    "a JPEG of more pixels down than libjpeg takes": many_scans(3, (8, 65_501)),
    "scans over the limit": many_scans(MAX_SCANS + 1, (8, 8)),
    "scans over the limit, sequential": many_scans(MAX_SCANS + 1, (8, 8), SOF0),
    "scans over the limit, arithmetic": many_scans(MAX_SCANS + 1, (8, 8), SOF9),
    "scans times pixels": many_scans(MAX_SCAN_PIXELS // 60_000_000 + 1, (10_000, 6_000)),
    "segments": b"\xff\xd8" + segment(0xFE, b"") * (MAX_SEGMENTS + 1) + saved(noise())[2:],
    "segments between scans": many_scans(2, (8, 8))[:-2] + segment(0xFE, b"") * (MAX_SEGMENTS + 1) + b"\xff\xd9",
    "chunks": png((9, 9), b"\0" * 252, chunk(b"tEXt", b"") * (MAX_CHUNKS + 1)),
}


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    with pytest.raises(ImageTooLargeError, match=r"limit|more than"):
        decode_image(data)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_second_frame_header_is_refused(kind: str) -> None:
    data = JPEGS[kind]
    for size in ((65000, 65000), (60, 40), (8, 8)):
        with pytest.raises(ImageError, match="second frame header"):
            decode_image(second_frame_header(data, size))
    if kind == "progressive":
        last = data.rindex(b"\xff\xda")
        with pytest.raises(ImageError, match="second frame header"):
            decode_image(data[:last] + frame_header((8, 8), 3) + data[last:])


def test_what_is_within_the_limits_is_decoded() -> None:
    assert decode_image(many_scans(MAX_SCANS, (40, 30))).size == (40, 30)
    assert decode_image(many_scans(MAX_SCANS, (40, 30), SOF0)).size == (40, 30)
    comments = b"".join(segment(0xFE, b"\xff\xda" * 300) for _ in range(MAX_SEGMENTS // 2))
    data = saved(noise(), progressive=True)
    assert decode_image(data[:2] + comments + data[2:]).tobytes() == opened(data).tobytes()


def test_chunks_that_no_pixel_needs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow unpacks a megabyte of each, of any number of them."""
    packed = zlib.compress(bytes(2**20))
    more = (
        chunk(b"iCCP", b"x\0\0" + packed) + chunk(b"zTXt", b"x\0\0" + packed) + chunk(b"iTXt", b"x\0\1\0\0\0" + packed)
    )
    animated = chunk(b"acTL", struct.pack(">II", 2**31, 0))
    data = png((2, 2), b"\0" + bytes(6) + b"\0" + bytes(6), (more + animated + chunk(b"vpAg", b"x" * 99)) * 50)

    def unpacked(_: bytes) -> bytes:
        raise AssertionError("a profile or a text was unpacked")

    monkeypatch.setattr(PngImagePlugin, "_safe_zlib_decompress", unpacked)
    assert decode_image(data).tobytes() == bytes(12)


def test_image_data_beyond_the_last_row_is_not_unpacked() -> None:
    assert decode_image(png((2, 2), b"\0" + bytes(6) + b"\0" + bytes(6) + bytes(50 * 2**20))).tobytes() == bytes(12)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: data[:-12], "ends inside a chunk"),
        (lambda data: data[:100], "ends inside a chunk"),
        (lambda data: data[:60] + b"\0" + data[61:], "CRC-32"),
        (lambda data: data[:8] + data[33:], "one header"),
        (lambda data: data[:33] + data[8:], "one header"),
        (lambda data: data[:33] + chunk(b"IEND", b""), "truncated|cannot"),
        (lambda data: data[:8] + chunk(b"IHDR", data[16:24] + b"\x08\3\0\0\0") + data[33:], "its palette"),
        (lambda data: data[:8] + chunk(b"IHDR", data[16:24] + b"\7\7\0\0\0") + data[33:], "not a PNG"),
    ],
)
def test_a_png_that_is_not_whole(change: Callable[[bytes], bytes], what: str) -> None:
    with pytest.raises(ImageError, match=what):
        decode_image(change(saved(noise(), "PNG")))


@pytest.mark.parametrize(
    "error",
    [
        OSError("broken data stream"),
        SyntaxError("bad"),
        ValueError("bad"),
        KeyError(7),
        TypeError("bad"),
        IndexError("bad"),
        EOFError(),
        OverflowError("bad"),
        AssertionError(),
        RecursionError("deep"),
        ZeroDivisionError("bad"),
        struct.error("bad"),
        zlib.error("bad"),
        UnicodeDecodeError("ascii", b"\xff", 0, 1, "bad"),
        Image.DecompressionBombError("large"),
        Image.DecompressionBombWarning("large"),
        TimeoutError("bad"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("data", [saved(noise()), saved(noise(), "PNG")], ids=["JPEG", "PNG"])
def test_whatever_a_decoder_raises_is_bad_data(data: bytes, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "frombytes", broken)
    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    assert str(caught.value) == (str(error) or type(error).__name__)


@pytest.mark.parametrize("data", [saved(noise()), saved(noise(), "PNG")], ids=["JPEG", "PNG"])
def test_a_lack_of_memory_is_not_bad_data(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "frombytes", hungry)
    monkeypatch.setattr(ImageFile.ImageFile, "load", hungry)
    with pytest.raises(MemoryError):
        decode_image(data)


def test_what_a_user_sets_in_pillow_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = saved(noise())
    assert decode_jpeg(data).size == (60, 40)
    with pytest.raises(ImageError):
        decode_jpeg(data[: len(data) // 2])


def test_an_error_names_no_address() -> None:
    """Details of rejects are bytes of the set."""
    words = set()
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            decode_image(png((2, 2), b"", bits=3))
        words.add(str(caught.value))
    assert len(words) == 1
    assert not re.search("0x|<", words.pop())


def test_formats_are_those_of_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    webp = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(99)
    builds = {("jpg",): "(JPEG)", ("jpg", "zlib"): "(JPEG, PNG)", ("jpg", "zlib", "webp"): "(JPEG, PNG, WEBP)"}
    for build, listed in builds.items():
        monkeypatch.setattr(features, "check", lambda feature, build=build: feature in build)
        readable_formats.cache_clear()
        with pytest.raises(ImageError, match=re.escape(listed)):
            decode_image(b"GIF89a")
        if "webp" not in build:
            with pytest.raises(
                ImageError, match="a WebP, which the running Pillow was built without: reid-shards doctor"
            ):
                decode_image(webp)
        if "zlib" not in build:
            with pytest.raises(ImageError, match=re.escape(f"not an image of a format that is read {listed}")):
                decode_image(saved(noise(), "PNG"))
    readable_formats.cache_clear()


def test_arithmetic_coding_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(_: bytes) -> None:
        raise ImageError("broken data stream")

    reads_arithmetic_coding.cache_clear()
    assert reads_arithmetic_coding() == bool(shutil.which("cjpeg") and opened_arithmetic())
    reads_arithmetic_coding.cache_clear()
    monkeypatch.setattr(images, "decode_jpeg", unable)
    assert not reads_arithmetic_coding()
    reads_arithmetic_coding.cache_clear()


def opened_arithmetic() -> bool:
    try:
        opened(arithmetic(noise()))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("name", ["baseline", "progressive", "CMYK", "restarts", "RGB", "P", "profile and texts"])
def test_damage_gives_an_image_or_an_error(name: str) -> None:
    data = {**JPEGS, **PNGS}[name]
    generator = random.Random(name)
    outcomes: set[str] = set()
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(min(len(damaged), 900))] = generator.choice((0, 255, generator.randrange(256)))
        if generator.random() < 0.2:
            del damaged[generator.randrange(len(damaged)) :]
        try:
            image = decode_image(bytes(damaged))
        except ImageError as error:
            outcomes.add(type(error).__name__)
        else:
            outcomes.add(image.mode)
            assert image.width * image.height <= MAX_PIXELS
    assert "ImageError" in outcomes
    if name in JPEGS:
        assert outcomes & {"RGB", "L"}
