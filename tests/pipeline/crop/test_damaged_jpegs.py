import random
import struct
from collections.abc import Callable

import pytest

from pipeline.crop.bitstream import CorruptJpegError, JpegError, NotJpegError, TruncatedJpegError, crop_jpeg
from tests.pipeline.crop.jpeg_variants import Variant, encode, join, patched_start_of_frame, render, segments

SOF0, DHT, DRI, DQT, SOS = 0xC0, 0xC4, 0xDD, 0xDB, 0xDA


@pytest.mark.parametrize("variant", [Variant(), Variant("grayscale", 40, optimized=True), Variant("4:4:4", restart=1)])
def test_truncation_at_every_byte(variant: Variant) -> None:
    data = encode(render(45, 37), variant)
    whole = crop_jpeg(data, [(16, 16, 29, 21)])
    cut_short = 0
    for size in range(len(data)):
        try:
            assert crop_jpeg(data[:size], [(16, 16, 29, 21)]) == whole
        except (NotJpegError, TruncatedJpegError):
            cut_short += 1
    assert cut_short >= len(data) - 3


def test_a_marker_inside_the_scan_is_corrupt() -> None:
    data = encode(render(203, 131), Variant())
    middle = len(data) - len(segments(data)[-1][1]) // 2
    for marker in (b"\xff\xd9", b"\xff\xd3", b"\xff\xda"):
        with pytest.raises(CorruptJpegError, match="marker"):
            crop_jpeg(data[:middle] + marker + data[middle:], [(0, 0, 203, 131)])


def test_restart_markers_out_of_order_are_corrupt() -> None:
    data = encode(render(203, 131), Variant(restart=3))
    with pytest.raises(CorruptJpegError, match="marker"):
        crop_jpeg(data.replace(b"\xff\xd1", b"\xff\xd2"), [(0, 0, 203, 131)])
    first = data.index(b"\xff\xd0")
    with pytest.raises(CorruptJpegError, match="surplus"):
        crop_jpeg(data[:first] + b"\0\0" + data[first:], [(0, 0, 203, 131)])


def test_fill_bytes_before_markers_are_skipped() -> None:
    data = encode(render(203, 131), Variant(restart=3))
    filled = data.replace(b"\xff\xd1", b"\xff\xff\xff\xd1").replace(b"\xff\xc0", b"\xff\xff\xc0")
    assert crop_jpeg(filled, [(0, 0, 203, 131)]) == crop_jpeg(data, [(0, 0, 203, 131)])


@pytest.mark.parametrize(
    ("counts", "symbols"),
    [
        pytest.param([0] * 15 + [2], b"", id="fewer symbols than codes"),
        pytest.param([3] + [0] * 15, b"\0\1\2", id="three codes of one bit"),
        pytest.param([2] + [0] * 15, b"\0\1", id="the code of all ones"),
        pytest.param([0, 3, 2] + [0] * 13, b"\0\1\2\3\4", id="more codes than are left"),
    ],
)
def test_impossible_huffman_tables(counts: list[int], symbols: bytes) -> None:
    parts = segments(encode(render(61, 45), Variant("grayscale")))
    table = (DHT, b"\0" + bytes(counts) + symbols)
    data = join([table if marker == DHT and payload[0] == 0 else (marker, payload) for marker, payload in parts])
    with pytest.raises(CorruptJpegError, match="DHT"):
        crop_jpeg(data, [(0, 0, 16, 16)])


@pytest.mark.parametrize(
    ("marker", "patch"),
    [
        (SOF0, lambda payload: payload[:5] + b"\0" + payload[6:]),
        (SOF0, lambda payload: payload[:-1]),
        (SOF0, lambda payload: payload[:3] + b"\0\0" + payload[5:]),
        (SOF0, lambda payload: payload[:7] + b"\x02" + payload[8:]),
        (SOF0, lambda payload: payload[:8] + b"\4" + payload[9:]),
        (SOS, lambda payload: payload[:-1]),
        (SOS, lambda payload: payload[:1] + b"\7" + payload[2:]),
        (SOS, lambda payload: payload[:2] + b"\x40" + payload[3:]),
        (DQT, lambda payload: payload[:-1]),
        (DQT, lambda payload: b"\4" + payload[1:]),
        (DQT, lambda payload: b"\3" + payload[1:]),
        (DHT, lambda payload: b"\4" + payload[1:]),
        (DHT, lambda payload: payload[:16]),
        (DRI, lambda payload: payload + b"\0"),
    ],
)
def test_broken_segments(marker: int, patch: Callable[[bytes], bytes]) -> None:
    parts = segments(encode(render(61, 45), Variant(restart=5)))
    place = [marker for marker, _ in parts].index(marker)
    parts[place] = (marker, patch(parts[place][1]))
    with pytest.raises(CorruptJpegError):
        crop_jpeg(join(parts), [(0, 0, 16, 16)])


def test_a_claimed_size_without_data_costs_nothing() -> None:
    def gigantic(payload: bytearray) -> None:
        payload[1:5] = struct.pack(">HH", 65500, 65500)

    with pytest.raises(TruncatedJpegError, match="bytes of data"):
        crop_jpeg(patched_start_of_frame(gigantic), [(0, 0, 65500, 65500)])


@pytest.mark.parametrize("variant", [Variant(), Variant("CMYK 4:2:0", optimized=True), Variant("4:4:4", restart=2)])
def test_damage_gives_a_crop_or_a_typed_error(variant: Variant) -> None:
    data = encode(render(61, 45), variant)
    generator = random.Random(0)
    outcomes: set[int | type[JpegError]] = set()
    for _ in range(4000):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            outcomes.add(len(crop_jpeg(bytes(damaged), [(0, 0, 61, 45), (16, 16, 20, 20)])))
        except JpegError as error:
            outcomes.add(type(error))
    assert {2, CorruptJpegError, TruncatedJpegError} <= outcomes
    assert JpegError not in outcomes
