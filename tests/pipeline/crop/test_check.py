"""The check of whole JPEGs against libjpeg: what it calls sound decodes without a warning, and damage is named."""

import random
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crop.bitstream import (
    CheckedJpeg,
    CorruptJpegError,
    JpegError,
    NotJpegError,
    TruncatedJpegError,
    UnsupportedJpegError,
    check_jpegs,
)
from shards_spec.images import decode_jpeg
from tests.fuzz.headers import VARIANTS, frame, inserted_segments, single_byte_changes
from tests.pipeline.crop.jpeg_variants import KINDS, Variant, encode, join, render, require, segments

EOI = b"\xff\xd9"


def check(data: bytes) -> CheckedJpeg | JpegError:
    (result,) = check_jpegs([data])
    return result


def is_sound(data: bytes) -> bool:
    return isinstance(check(data), CheckedJpeg)


def warnings(data: bytes) -> str:
    """What djpeg says of a JPEG."""
    result = subprocess.run([require("djpeg"), "-pnm"], input=data, capture_output=True, check=False)
    return result.stderr.decode()


def small(variant: Variant | None = None) -> bytes:
    return encode(render(61, 45), variant or Variant())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("restart", [0, 1, 7, -1, 500])
@pytest.mark.parametrize("optimized", [False, True])
def test_sound_images_of_all_kinds(kind: str, restart: int, optimized: bool) -> None:
    images = [encode(render(61, 45, seed), Variant(kind, 90, optimized, restart)) for seed in range(3)]
    images.append(encode(render(8, 8), Variant(kind, 100, optimized, restart)))
    for data, result in zip(images, check_jpegs(images), strict=True):
        assert isinstance(result, CheckedJpeg), result
        decoded = decode_jpeg(data)
        assert (result.width, result.height, result.components) == (*decoded.size, len(decoded.getbands()))
        assert result.orientation == 1
        assert warnings(data) == ""


def test_a_result_does_not_depend_on_what_came_before() -> None:
    """Look-up tables and buffers are kept between images: large, small, sound and damaged ones in any order."""
    generator = random.Random(0)
    images = [encode(render(20 + 40 * i, 30 + 25 * i, i), Variant(optimized=i % 2 == 0)) for i in range(8)]
    images += [data[: len(data) * 2 // 3] for data in images]
    images += [encode(render(33, 65), Variant(kind, optimized=True, restart=3)) for kind in KINDS]
    images += [b"", b"\xff\xd8", b"GIF89a", small()[:300]]
    alone = [str(check(data)) for data in images]
    for _ in range(20):
        order = generator.sample(range(len(images)), len(images))
        assert [str(result) for result in check_jpegs([images[i] for i in order])] == [alone[i] for i in order]


def test_tables_that_come_up_often_and_others_give_the_same() -> None:
    """The core builds quick tables for an image's own Huffman codes, and better ones for codes that come up often."""
    damaged = [bytearray(encode(render(61, 45, seed), Variant(optimized=True, restart=seed % 3))) for seed in range(30)]
    generator = random.Random(3)
    for data in damaged[::2]:
        data[generator.randrange(len(data) // 2, len(data) - 2)] ^= 1 << generator.randrange(8)
    images = [bytes(data) for data in damaged]
    first = [[str(check(data)) for data in images], [str(check(data)) for data in images]]
    often = [[str(check(data)) for _ in range(12)] for data in images]
    assert first[0] == first[1]
    assert often == [[result] * 12 for result in first[0]]
    assert {type(check(data)) for data in images} >= {CheckedJpeg, CorruptJpegError}
    pairs = [str(result) for data in images for result in check_jpegs([data, small(), data, data])]
    assert pairs == [
        str(result) for data in images for result in (check(data), check(small()), check(data), check(data))
    ]


@pytest.mark.parametrize("variant", [Variant(), Variant(optimized=True, restart=2), Variant("grayscale")])
def test_images_that_end_early_at_every_byte(variant: Variant) -> None:
    data = small(variant)
    for end in range(len(data)):
        result = check(data[:end])
        assert isinstance(result, TruncatedJpegError if end > 1 else NotJpegError), end
    assert is_sound(data)
    assert is_sound(data + b"what stands behind the end is ignored")


def test_what_libjpeg_warns_of_is_refused() -> None:
    data = small(Variant(restart=3))
    parts = segments(data)
    scan = parts[-1][1]
    first, second = scan.index(b"\xff\xd0"), scan.index(b"\xff\xd1")
    for changed, error in {
        scan[:first] + scan[first + 2 :]: CorruptJpegError,  # a restart marker is missing
        scan[:first] + b"\xff\xd3" + scan[first + 2 :]: CorruptJpegError,  # is another one
        scan[:first] + scan[second:]: CorruptJpegError,  # an interval is missing
        scan[:first] + scan[: first + 2] + scan[first:]: CorruptJpegError,  # is there twice
        scan[:first] + b"\x55" * 9 + scan[first:]: CorruptJpegError,  # there is more before a marker
        scan[:-2] + b"\x55" * 99 + EOI: CorruptJpegError,  # and behind the last MCU
        scan[: second - 8] + EOI: CorruptJpegError,  # the end comes early
        scan[:-2]: TruncatedJpegError,
    }.items():
        broken = join([*parts[:-1], (0, changed)])
        assert isinstance(check(broken), error), check(broken)
        assert warnings(broken) != ""


def test_surplus_bytes_are_refused_even_where_libjpeg_has_read_them_ahead() -> None:
    parts = segments(small())
    for surplus in (b"\0", b"\x55", b"\xff\x00"):
        result = check(join([*parts[:-1], (0, parts[-1][1][:-2] + surplus + EOI)]))
        assert isinstance(result, CorruptJpegError)
        assert "surplus data behind the last MCU" in str(result)


def test_fill_bytes_before_the_end_are_no_surplus() -> None:
    parts = segments(small())
    data = join([*parts[:-1], (0, parts[-1][1][:-2] + b"\xff\xff" + EOI)])
    assert is_sound(data)
    assert warnings(data) == ""


def test_bad_codes_and_coefficients_beyond_the_last() -> None:
    parts = segments(small(Variant("grayscale")))
    header, scan = parts[:-1], parts[-1][1]
    for changed in (b"\xff\x00" * 40 + scan, bytes(4) + scan[40:]):
        result = check(join([*header, (0, changed)]))
        assert isinstance(result, CorruptJpegError), result
    # A DC code, then four runs of sixteen zeros: 64 coefficients behind the first.
    zrl = f"{0x7F9:011b}"  # of the standard table for luminance
    bits = "00" + zrl * 4 + "1" * 200
    padded = bits + "1" * (-len(bits) % 8)
    overfull = bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8)).replace(b"\xff", b"\xff\x00")
    result = check(join([*header, (0, overfull + scan)]))
    assert isinstance(result, CorruptJpegError)
    assert "MCU 0 of the" in str(result)


def test_kinds_of_which_only_a_decoder_can_tell() -> None:
    data = small()
    parts = segments(data)
    odd_jfif = [(marker, b"JFIF\0\2" + payload[6:] if marker == 0xE0 else payload) for marker, payload in parts]
    adobe = [(0xEE, b"Adobe\0\x64\0\0\0\0\x02"), *parts[1:]]
    behind = [*parts[:-1], (0, parts[-1][1][:-2] + b"\xff\xfe\0\4ab" + EOI)]
    for changed in (odd_jfif, adobe, behind):
        assert isinstance(check(join(changed)), UnsupportedJpegError)
    assert "revision" in warnings(join(odd_jfif))
    assert "color transform" in warnings(join(adobe))
    assert warnings(join(behind)) == ""


@given(st.data())
def test_no_mutation_is_sound_that_libjpeg_warns_of(data: st.DataObject) -> None:
    """The fuzzer does the same with libjpeg in its process, millions of times."""
    original = frame(data.draw(st.sampled_from(sorted(VARIANTS))))
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(2, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    if is_sound(bytes(changed)):
        assert warnings(bytes(changed)) == ""


def test_changed_headers_are_sound_only_where_libjpeg_says_so() -> None:
    """Some of each header's byte changes and of the segments inserted: enough for djpeg, which is slow to start."""
    generator = random.Random(2)
    sound = 0
    for name in VARIANTS:
        data = frame(name)
        changes = [*single_byte_changes(data, all_values=False), *inserted_segments(data)]
        for what, changed in generator.sample(changes, 60):
            if is_sound(changed):
                sound += 1
                assert warnings(changed) == "", f"{name}: {what}"
    assert sound > 100


def exif(order: str, entries: list[tuple[int, int, int, int]], directory: int = 8) -> bytes:
    """An APP1 payload with a TIFF directory of (tag, type, count, value)."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    rows = b"".join(struct.pack(f"{order}HHIHH", tag, kind, count, value, 0) for tag, kind, count, value in entries)
    body = mark + struct.pack(f"{order}I", directory) + bytes(directory - 8)
    return b"Exif\0\0" + body + struct.pack(f"{order}H", len(entries)) + rows


def with_app1(*payloads: bytes) -> bytes:
    first, *rest = segments(small())
    return join([first, *((0xE1, payload) for payload in payloads), *rest])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(order: str, orientation: int) -> None:
    entry = (0x0112, 3, 1, orientation)
    other = (0x010F, 2, 4, 0)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    for payloads in ([exif(order, [entry])], [xmp, exif(order, [other, entry], 26)], [exif(order, [entry]), xmp]):
        data = with_app1(*payloads)
        result = check(data)
        assert isinstance(result, CheckedJpeg)
        assert result.orientation == orientation


@pytest.mark.parametrize(
    "payload",
    [
        exif("<", [(0x0112, 3, 1, 9)]),
        exif("<", [(0x0112, 3, 1, 0)]),
        exif("<", [(0x0112, 4, 1, 6)]),
        exif("<", [(0x0112, 3, 1, 6)])[:-6],
        exif("<", [(0x0112, 3, 1, 6)])[:15],
        exif("<", [(0x0112, 3, 1, 6)])[:8],
        exif("<", [(0x0112, 3, 1, 6)]).replace(b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff"),
        exif("<", [(0x0112, 3, 1, 6)]).replace(b"II", b"XX"),
        b"Exif\0\0",
        b"Exif",
        b"",
    ],
)
def test_exif_that_states_no_orientation(payload: bytes) -> None:
    result = check(with_app1(payload))
    assert isinstance(result, CheckedJpeg)
    assert result.orientation == 1


def test_arguments_of_other_types() -> None:
    with pytest.raises(TypeError):
        check_jpegs([small(), "text"])  # type: ignore[list-item]
    assert check_jpegs([]) == []
