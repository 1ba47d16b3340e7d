import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crop.bitstream import (
    Header,
    NotJpegError,
    RectangleError,
    TruncatedJpegError,
    UnsupportedJpegError,
    crop_jpeg,
    read_header,
)
from shards_spec.geometry import plan_lossless
from tests.benchmarks.lossless_transform import LosslessTransform, library_name
from tests.pipeline.crop.jpeg_variants import (
    KINDS,
    Variant,
    decode,
    encode,
    encode_with_cjpeg,
    grid,
    join,
    patched_start_of_frame,
    render,
    require,
    run,
    segments,
)

SOF0, DHT, DRI, DQT, SOS = 0xC0, 0xC4, 0xDD, 0xDB, 0xDA

VARIANTS = [
    *(Variant(kind) for kind in KINDS),
    *(Variant(kind, 100, optimized=True) for kind in KINDS),
    *(Variant("4:2:0", 85, restart=restart) for restart in (1, 7, 500, -1)),
    *(Variant("4:4:4", 30, restart=restart, optimized=True) for restart in (1, 7, 500, -1)),
    *(Variant("grayscale", 60, restart=restart) for restart in (1, 7, 500, -1)),
]
UNKNOWN_TO_TURBOJPEG = {"CMYK 4:2:0", "4:1:0", "4:2:2 from 4x1", "uneven", "swapped"}
SIZES = [(203, 131), (64, 48), (160, 21)]


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.kind not in UNKNOWN_TO_TURBOJPEG], ids=str)
def test_pixels_equal_those_of_libjpeg_turbos_lossless_transform(variant: Variant) -> None:
    if library_name() is None:
        pytest.skip("libturbojpeg is not installed (Debian: libturbojpeg0)")
    transform = LosslessTransform()
    for seed, (width, height) in enumerate(SIZES):
        data = encode(render(width, height, seed), variant)
        rectangles = grid(read_header(data), 6, seed)
        for ours, theirs in zip(crop_jpeg(data, rectangles), transform.crop(data, rectangles), strict=True):
            np.testing.assert_array_equal(decode(ours), decode(theirs))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_pixels_equal_those_of_jpegtran(variant: Variant) -> None:
    require("jpegtran")
    data = encode(render(203, 131, 5), variant)
    rectangles = grid(read_header(data), 2, 5)
    for (left, top, width, height), ours in zip(rectangles, crop_jpeg(data, rectangles), strict=True):
        theirs = run("jpegtran", "-crop", f"{width}x{height}+{left}+{top}", data=data)
        np.testing.assert_array_equal(decode(ours), decode(theirs))


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> tuple[float, float, float, float]:
    """Of all sizes, a pixel or less among them, at all borders and across them."""
    x = draw(st.integers(-3, width - 1)) + draw(st.sampled_from((0.0, 0.5)))
    y = draw(st.integers(-3, height - 1)) + draw(st.sampled_from((0.0, 0.5)))
    box_width = draw(st.one_of(st.sampled_from((0.5, 1.0, 2.0, 4.0)), st.floats(0.1, width + 5)))
    box_height = draw(st.one_of(st.sampled_from((0.5, 1.0, 2.0, 4.0)), st.floats(0.1, height + 5)))
    return x, y, box_width, box_height


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_box_and_its_margin_have_the_frames_pixels(data: st.DataObject) -> None:
    variant = Variant(
        kind=data.draw(st.sampled_from(KINDS)),
        quality=data.draw(st.sampled_from((10, 50, 75, 90, 100))),
        optimized=data.draw(st.booleans()),
        restart=data.draw(st.sampled_from((0, 0, 1, 7, 500, -1))),
    )
    size = width, height = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 70))
    jpeg = encode(render(width, height, data.draw(st.integers(0, 50))), variant)
    frame = decode(jpeg)
    header = read_header(jpeg)
    mcu_size = header.mcu_width, header.mcu_height
    subsampled = header.subsampled_horizontally, header.subsampled_vertically
    margin = data.draw(st.sampled_from((0, 0, 1, 5)))
    drawn = [plan_lossless(box, margin, size, mcu_size, subsampled) for box in data.draw(st.lists(boxes(*size)))]
    plans = [plan for plan in drawn if plan is not None]
    for plan, cut in zip(plans, crop_jpeg(jpeg, [plan.crop for plan in plans]), strict=True):
        crop = decode(cut)
        assert crop.shape[:2] == (plan.crop.height, plan.crop.width)
        left, top = max(plan.roi.left - margin, 0), max(plan.roi.top - margin, 0)
        right, bottom = min(plan.roi.right + margin, plan.crop.width), min(plan.roi.bottom + margin, plan.crop.height)
        expected = frame[plan.crop.top + top : plan.crop.top + bottom, plan.crop.left + left : plan.crop.left + right]
        np.testing.assert_array_equal(crop[top:bottom, left:right], expected)


@pytest.mark.parametrize(
    ("kind", "components", "mcu_size", "subsampled"),
    [
        ("4:4:4", 3, (8, 8), (False, False)),
        ("4:2:2", 3, (16, 8), (True, False)),
        ("4:4:0", 3, (8, 16), (False, True)),
        ("4:2:0", 3, (16, 16), (True, True)),
        ("4:1:1", 3, (32, 8), (True, False)),
        ("swapped", 3, (16, 16), (True, True)),
        ("grayscale", 1, (8, 8), (False, False)),
        ("grayscale 2x2", 1, (8, 8), (False, False)),
        ("CMYK", 4, (8, 8), (False, False)),
        ("RGB", 3, (8, 8), (False, False)),
    ],
)
def test_headers(kind: str, components: int, mcu_size: tuple[int, int], subsampled: tuple[bool, bool]) -> None:
    header = read_header(encode(render(61, 45), Variant(kind)))
    assert header == Header(61, 45, components, *mcu_size, *subsampled, orientation=1, ineligible=None)


def twelve_bits(payload: bytearray) -> None:
    payload[0] = 12


def no_height(payload: bytearray) -> None:
    payload[1:3] = b"\0\0"


def five_components(payload: bytearray) -> None:
    payload[5] = 5
    payload += b"\4\x11\0\5\x11\0"


def large_mcu(payload: bytearray) -> None:
    payload[7] = 0x44


def fractional(payload: bytearray) -> None:
    payload[7], payload[10], payload[13] = 0x31, 0x21, 0x11


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: encode_with_cjpeg(render(61, 45), Variant(), "-progressive"), "progressive"),
        (lambda: encode_with_cjpeg(render(61, 45), Variant(), "-arithmetic"), "arithmetic coding"),
        (lambda: patched_start_of_frame(twelve_bits), "samples of other than 8 bits"),
        (lambda: patched_start_of_frame(five_components), "other than 1, 3 or 4"),
        (lambda: patched_start_of_frame(large_mcu), "more than 10 blocks in an MCU"),
        (lambda: patched_start_of_frame(fractional), "fractional sampling"),
        (lambda: encode(render(61, 45), Variant()).replace(b"\xff\xc0\x00\x11", b"\xff\xc3\x00\x11"), "lossless or h"),
        (lambda: join([part for part in segments(encode(render(61, 45), Variant())) if part[0] != DHT]), "no Huffman"),
    ],
)
def test_jpegs_for_the_pixel_path_still_tell_their_size(make: Callable[[], bytes], reason: str) -> None:
    data = make()
    header = read_header(data)
    assert (header.width, header.height) == (61, 45)
    assert header.ineligible is not None
    assert header.ineligible.startswith(reason)
    with pytest.raises(UnsupportedJpegError, match=reason):
        crop_jpeg(data, [(0, 0, 16, 16)])


def test_a_frame_without_a_height_is_for_the_pixel_path() -> None:
    header = read_header(patched_start_of_frame(no_height))
    assert (header.width, header.height, header.ineligible) == (61, 0, "no height in SOF")


def test_several_scans_are_for_the_pixel_path(tmp_path: Path) -> None:
    script = tmp_path / "scans"
    script.write_text("0;\n1;\n2;\n")
    data = encode_with_cjpeg(render(61, 45), Variant(), "-scans", str(script))
    assert read_header(data).ineligible == "several scans"
    with pytest.raises(UnsupportedJpegError, match="several scans"):
        crop_jpeg(data, [(0, 0, 16, 16)])


def test_progressive_files_cut_off_behind_their_size_still_tell_it() -> None:
    data = encode_with_cjpeg(render(61, 45), Variant(), "-progressive")
    end_of_size = data.index(b"\xff\xc2") + 2 + 17
    assert read_header(data[:end_of_size]).width == 61
    with pytest.raises(TruncatedJpegError):
        read_header(data[: end_of_size - 1])


@pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n" * 9, b"\xff\xd9\xff\xd8"])
def test_what_is_no_jpeg(data: bytes) -> None:
    for attempt in (lambda: read_header(data), lambda: crop_jpeg(data, [])):
        with pytest.raises(NotJpegError):
            attempt()


@pytest.mark.parametrize(
    "rectangle",
    [
        (0, 0, 0, 16),
        (0, 0, 16, -1),
        (-16, 0, 16, 16),
        (0, -16, 16, 16),
        (8, 0, 16, 16),
        (0, 8, 16, 16),
        (0, 0, 62, 45),
        (16, 0, 46, 45),
        (0, 0, 61, 46),
        (64, 0, 1, 1),
        (2**62, 0, 2**62, 1),
        (-(2**63), 0, 2**63 - 1, 1),
        (0, 0, 2**63 - 1, 2**63 - 1),
        (2**64, 0, 16, 16),
    ],
)
def test_rectangles_that_cannot_be_cut(rectangle: tuple[int, int, int, int]) -> None:
    data = encode(render(61, 45), Variant())
    with pytest.raises(RectangleError):
        crop_jpeg(data, [(0, 0, 16, 16), rectangle])


@pytest.mark.parametrize("wrong", [(0, 0, 16), (0, 0, 16, "16"), 7, (0, 0, 16, 16.0)])
def test_rectangles_of_other_types(wrong: object) -> None:
    data = encode(render(61, 45), Variant())
    with pytest.raises(TypeError):
        crop_jpeg(data, [wrong])  # type: ignore[list-item]


def test_no_rectangles_no_crops() -> None:
    assert crop_jpeg(encode(render(61, 45), Variant()), []) == []


def test_crops_keep_what_colours_depend_on_and_drop_what_was_the_frames_own() -> None:
    data = encode(render(61, 45), Variant(restart=1))
    parts = segments(data)
    extended = join([*parts[:1], (0xFE, b"a comment"), (0xE1, b"Exif\0\0"), *parts[1:]])
    assert any(marker == DRI for marker, _ in parts)
    crop = crop_jpeg(extended, [(16, 16, 32, 20)])[0]
    kept = segments(crop)
    assert [marker for marker, _ in kept] == [0xE0, DQT, DQT, SOF0, DHT, DHT, DHT, DHT, SOS, 0]
    assert kept[0] == parts[0]
    assert {payload for marker, payload in kept if marker == DQT} == {p for marker, p in parts if marker == DQT}
    assert crop.endswith(b"\xff\xd9")
    assert scan_markers(crop) == [0xD9]


def scan_markers(data: bytes) -> list[int]:
    """The second bytes of all markers in a scan."""
    scan = segments(data)[-1][1]
    return [after for byte, after in itertools.pairwise(scan) if byte == 0xFF and after != 0]


@pytest.mark.parametrize("kind", ["CMYK", "RGB"])
def test_adobes_segment_is_kept(kind: str) -> None:
    data = encode(render(61, 45), Variant(kind))
    assert segments(crop_jpeg(data, [(8, 8, 20, 20)])[0])[0] == segments(data)[0]


def test_a_crop_of_a_crop() -> None:
    data = encode(render(203, 131), Variant(optimized=True))
    once = crop_jpeg(data, [(64, 48, 100, 70)])[0]
    np.testing.assert_array_equal(
        decode(crop_jpeg(once, [(16, 16, 40, 30)])[0]), decode(crop_jpeg(data, [(80, 64, 40, 30)])[0])
    )


def test_dc_codes_that_an_optimised_table_lacks_are_appended() -> None:
    grown = 0
    for seed in range(20):
        data = encode(render(300, 200, seed), Variant(quality=95, optimized=True))
        own = {payload[:1]: payload for marker, payload in segments(data) if marker == DHT}
        rectangles = grid(read_header(data), 20, seed)
        for (left, top, width, height), crop in zip(rectangles, crop_jpeg(data, rectangles), strict=True):
            for payload in (payload for marker, payload in segments(crop) if marker == DHT):
                before = own[payload[:1]]
                assert payload[17:].startswith(before[17:])
                grown += len(payload) > len(before)
            assert decode(crop).shape[:2] == (height, width)
            if library_name():
                theirs = LosslessTransform().crop(data, [(left, top, width, height)])[0]
                np.testing.assert_array_equal(decode(crop), decode(theirs))
    assert grown > 0


def test_the_largest_dc_differences_behind_the_shortest_code() -> None:
    """A grayscale row of three blocks, flat ones, of which each lies 2,000 and more below or above the one before."""
    differences = [-1024, 2047, -2000]
    values = [d if d > 0 else d + 2047 for d in differences]  # of 11 bits, behind the code 0; and the code 0 for EOB
    bits = "".join(f"0{value:011b}0" for value in values) + "1"
    data = join(
        [
            (DQT, b"\0" + b"\1" * 64),
            (SOF0, b"\x08\0\x08\0\x18\1\1\x11\0"),
            (DHT, b"\0" + bytes([1] + [0] * 15) + b"\x0b"),
            (DHT, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
            (SOS, b"\1\1\0\0\x3f\0"),
            (0, int(bits, 2).to_bytes(5).replace(b"\xff", b"\xff\0") + b"\xff\xd9"),
        ]
    )
    frame = decode(data)
    assert [int(frame[0, column, 0]) for column in (0, 8, 16)] == [0, 255, 6]
    for left in (0, 8, 16):
        crop = crop_jpeg(data, [(left, 0, 24 - left, 8)])[0]
        np.testing.assert_array_equal(decode(crop), frame[:, left:])


def test_a_run_without_a_value_ends_its_block() -> None:
    """As libjpeg has it: so a table may spell EOB in fifteen ways."""
    parts = segments(encode(render(203, 131), Variant(optimized=True)))
    changed = []
    for marker, payload in parts:
        if marker == DHT and payload[0] >> 4 == 1:
            end_of_block = payload.index(0, 17)
            changed.append((marker, payload[:end_of_block] + b"\x50" + payload[end_of_block + 1 :]))
        else:
            changed.append((marker, payload))
    assert changed != parts
    crop = crop_jpeg(join(changed), [(32, 16, 99, 77)])[0]
    np.testing.assert_array_equal(decode(crop), decode(crop_jpeg(join(parts), [(32, 16, 99, 77)])[0]))


def test_data_below_the_lowest_rectangle_is_not_read() -> None:
    data = encode(render(203, 131), Variant())
    whole = crop_jpeg(data, [(16, 16, 40, 30)])
    scan = len(data) - len(segments(data)[-1][1])
    assert crop_jpeg(data[: scan + (len(data) - scan) // 2], [(16, 16, 40, 30)]) == whole
    with pytest.raises(TruncatedJpegError, match="MCU"):
        crop_jpeg(data[: scan + (len(data) - scan) // 2], [(16, 16, 40, 115)])


def test_threads_have_croppers_of_their_own() -> None:
    frames = [encode(render(400, 300, seed), Variant(optimized=True)) for seed in range(4)]
    expected = [crop_jpeg(frame, [(32, 32, 300, 200)]) for frame in frames]
    wrong: list[int] = []

    def work(number: int) -> None:
        wrong.extend(number for _ in range(50) if crop_jpeg(frames[number], [(32, 32, 300, 200)]) != expected[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_results_do_not_depend_on_what_was_cut_before() -> None:
    frames = [encode(render(100 + 7 * seed, 90, seed), variant) for seed, variant in enumerate(VARIANTS)]
    first = [crop_jpeg(frame, [(0, 32, 70, 40)]) for frame in frames]
    assert [crop_jpeg(frame, [(0, 32, 70, 40)]) for frame in reversed(frames)] == first[::-1]
