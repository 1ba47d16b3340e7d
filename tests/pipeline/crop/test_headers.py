"""What of a header the core takes, libjpeg takes, and a crop that it makes every decoder opens."""

from collections import Counter

import pytest

from pipeline.crop.bitstream import CorruptJpegError, UnsupportedJpegError, crop_jpeg, read_header
from tests.fuzz.headers import VARIANTS, check, frame, inserted_segments, single_byte_changes
from tests.pipeline.crop.jpeg_variants import join, segments

SOF0, DHT, DAC, SOS = 0xC0, 0xC4, 0xCC, 0xDA


@pytest.mark.parametrize("name", VARIANTS)
def test_every_byte_of_a_header(name: str) -> None:
    outcomes = Counter(check(changed) for _, changed in single_byte_changes(frame(name), all_values=False))
    assert {"refused", "for the pixel path", "equal"} <= set(outcomes)


@pytest.mark.parametrize("name", ["4:2:0", "grayscale"])
def test_every_marker_before_every_segment(name: str) -> None:
    outcomes = Counter(check(changed) for _, changed in inserted_segments(frame(name)))
    assert {"refused", "for the pixel path", "equal"} <= set(outcomes)


def changed_tables(data: bytes, symbol: int, *, replaced: int) -> bytes:
    """The JPEG with the last symbol of its DC tables, or a new one, of the longest code, replaced by ``symbol``."""
    parts = []
    for marker, content in segments(data):
        table = content
        if marker == DHT and content[0] >> 4 == 0:
            table = content[: len(content) - replaced] + bytes([symbol])
            if not replaced:
                table = table[:16] + bytes([table[16] + 1]) + table[17:]
        parts.append((marker, table))
    return join(parts)


@pytest.mark.parametrize("replaced", [0, 1])
def test_dc_symbols_that_libjpeg_refuses_even_where_nothing_uses_them(replaced: int) -> None:
    data = frame("4:2:0")
    for symbol in (16, 17, 0x80, 0xFF):
        with pytest.raises(CorruptJpegError, match="DHT"):
            crop_jpeg(changed_tables(data, symbol, replaced=replaced), [(0, 0, 16, 16)])
    for symbol in (12, 15):
        assert check(changed_tables(data, symbol, replaced=replaced)) == "equal"


def test_a_dc_table_that_no_component_uses_may_hold_anything() -> None:
    parts = segments(frame("grayscale"))
    parts.insert(-2, (DHT, b"\3" + bytes([0, 1, *[0] * 14]) + b"\xff"))
    assert check(join(parts)) == "equal"


def with_frame_header(data: bytes, payload: bytes) -> bytes:
    return join([(marker, payload if marker == SOF0 else content) for marker, content in segments(data)])


def test_sizes_that_libjpeg_refuses() -> None:
    data = frame("grayscale")
    for width, height in ((65501, 8), (8, 65501), (65535, 65535)):
        header = b"\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\1\1\x11\0"
        with pytest.raises(UnsupportedJpegError, match="65500"):
            crop_jpeg(with_frame_header(data, header), [(0, 0, 8, 8)])
    header = b"\x08" + (8).to_bytes(2) + (65500).to_bytes(2) + b"\1\1\x11\0"
    assert read_header(with_frame_header(data, header)).ineligible is None


def test_two_components_are_no_colour_that_decoders_know() -> None:
    parts = segments(frame("4:4:4"))
    changed = []
    for marker, content in parts:
        payload = content
        if marker == SOF0:
            payload = content[:5] + b"\2" + content[6:12]
        elif marker == SOS:
            payload = b"\2" + content[1:5] + content[-3:]
        changed.append((marker, payload))
    with pytest.raises(UnsupportedJpegError, match="components"):
        crop_jpeg(join(changed), [(0, 0, 16, 16)])


def test_conditioning_for_arithmetic_coding_is_left_to_libjpeg() -> None:
    data = frame("4:2:0")
    for content in (b"\0\x10", b"\x20\0", b""):
        conditioned = data[:2] + bytes([0xFF, DAC]) + (len(content) + 2).to_bytes(2) + content + data[2:]
        assert check(conditioned) == "for the pixel path"
