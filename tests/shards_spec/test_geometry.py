import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.geometry import (
    MIN_WIDTH_OF_HALVED_CHROMA,
    CropPlan,
    Rectangle,
    is_clamped,
    lossless_rectangle,
    plan_lossless,
    plan_reencode,
    reencode_rectangle,
    rounded_box,
    scaled_roi,
)

FRAME = (1920, 1080)
MCU = (16, 16)
BOTH = (True, True)

finite = st.floats(allow_nan=False, allow_infinity=False)
boxes = st.tuples(finite, finite, finite, finite)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Rectangle, int, tuple[int, int], tuple[int, int], tuple[bool, bool]]:
    frame = draw(st.integers(1, 100)), draw(st.integers(1, 100))
    left, top = draw(st.integers(0, frame[0] - 1)), draw(st.integers(0, frame[1] - 1))
    rounded = Rectangle(left, top, draw(st.integers(1, frame[0] - left)), draw(st.integers(1, frame[1] - top)))
    halved = draw(st.booleans()), draw(st.booleans())
    mcu = draw(st.sampled_from((16, 32))) if halved[0] else 8, 16 if halved[1] else 8
    return rounded, draw(st.integers(0, 20)), frame, mcu, halved


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10.0, 20.0, 30.0, 40.0), (10, 20, 30, 40)),
        ((10.2, 20.9, 30.0, 40.0), (10, 20, 31, 41)),
        ((1477.3156, 230.6843, 186.0616, 346.3864), (1477, 230, 187, 348)),
        ((-5.5, -0.1, 10.0, 10.0), (0, 0, 5, 10)),
        ((1919.5, 1079.5, 10.0, 10.0), (1919, 1079, 1, 1)),
        ((0.0, 0.0, 1920.0, 1080.0), (0, 0, 1920, 1080)),
        ((-1e308, -1e308, sys.float_info.max, sys.float_info.max), (0, 0, 1920, 1080)),
        ((5.0, 5.0, sys.float_info.max, 1.0), (5, 5, 1915, 1)),
        ((sys.float_info.max, 5.0, sys.float_info.max, 1.0), None),
        ((10.0, 20.0, 5e-324, 40.0), (10, 20, 1, 40)),
        ((10.5, 1079.0, 5e-324, 5e-324), (10, 1079, 1, 1)),
        ((0.0, -0.0, 5e-324, 5e-324), (0, 0, 1, 1)),
        ((1920.0, 5.0, 5e-324, 5.0), None),
        ((-5e-324, 5.0, 5e-324, 5.0), None),
        ((-10.0, 5.0, 10.0, 5.0), None),
        ((1920.0, 5.0, 10.0, 5.0), None),
        ((5.0, -7.0, 10.0, 6.9), None),
        ((5.0, 1080.0, 10.0, 5.0), None),
        ((5.0, 5.0, 0.0, 5.0), None),
        ((5.5, 5.5, 1.0, 0.0), None),
        ((5.5, 5.5, -0.25, 1.0), None),
        ((5.5, 5.5, 1.0, -0.25), None),
    ],
)
def test_boxes_are_rounded_outwards_and_clamped(
    box: tuple[float, float, float, float], expected: tuple[int, int, int, int] | None
) -> None:
    assert rounded_box(box, FRAME) == expected


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(place: int, number: float) -> None:
    box = [1.0, 2.0, 3.0, 4.0]
    box[place] = number
    with pytest.raises(ValueError, match="finite"):
        rounded_box((box[0], box[1], box[2], box[3]), FRAME)


@given(boxes)
def test_any_finite_box_gives_a_rectangle_inside_the_frame_or_none(box: tuple[float, float, float, float]) -> None:
    rounded = rounded_box(box, FRAME)
    spans = zip(box[:2], box[2:], FRAME, strict=True)
    has_pixels = all(
        length > 0 and start < limit and (start >= 0 or start + length > 0) for start, length, limit in spans
    )
    assert (rounded is not None) == has_pixels
    if rounded is None:
        return
    assert 0 <= rounded.left < rounded.right <= FRAME[0]
    assert 0 <= rounded.top < rounded.bottom <= FRAME[1]
    assert rounded.left == 0 or rounded.left <= box[0] < rounded.left + 1
    assert rounded.right == FRAME[0] or rounded.right - 1 <= box[0] + box[2] <= rounded.right


@given(situations())
def test_lossless_rectangles_keep_what_decoders_look_at(
    situation: tuple[Rectangle, int, tuple[int, int], tuple[int, int], tuple[bool, bool]],
) -> None:
    rounded, margin, frame, mcu, halved = situation
    crop = lossless_rectangle(*situation)
    assert crop.left % mcu[0] == 0
    assert crop.top % mcu[1] == 0
    assert 0 <= crop.left < crop.right <= frame[0]
    assert 0 <= crop.top < crop.bottom <= frame[1]
    assert crop.left <= max(rounded.left - margin - halved[0], 0)
    assert crop.top <= max(rounded.top - margin - halved[1], 0)
    assert crop.right >= min(rounded.right + margin + halved[0], frame[0])
    assert crop.bottom >= min(rounded.bottom + margin + halved[1], frame[1])
    # A frame that is narrower itself has no chroma that is smoothed across, so its crops may be as narrow as they like.
    assert not halved[0] or crop.width >= MIN_WIDTH_OF_HALVED_CHROMA or frame[0] < MIN_WIDTH_OF_HALVED_CHROMA


@given(situations())
def test_lossless_rectangles_keep_little_more(
    situation: tuple[Rectangle, int, tuple[int, int], tuple[int, int], tuple[bool, bool]],
) -> None:
    rounded, margin, _, mcu, halved = situation
    crop = lossless_rectangle(*situation)
    assert crop.top > rounded.top - margin - halved[1] - mcu[1]
    assert crop.bottom <= rounded.bottom + margin + halved[1]
    if crop.width > mcu[0] + MIN_WIDTH_OF_HALVED_CHROMA:
        assert crop.left > rounded.left - margin - halved[0] - mcu[0]
    if crop.width > MIN_WIDTH_OF_HALVED_CHROMA:
        assert crop.right <= rounded.right + margin + halved[0]


@pytest.mark.parametrize(
    ("rounded", "margin", "mcu", "halved", "expected"),
    [
        pytest.param((100, 100, 50, 60), 0, MCU, BOTH, (96, 96, 55, 65), id="a pixel beyond the box"),
        pytest.param((96, 96, 50, 60), 0, MCU, BOTH, (80, 80, 67, 77), id="on the grid, an MCU more"),
        pytest.param((96, 96, 50, 60), 0, (8, 8), (False, False), (96, 96, 50, 60), id="no chroma subsampled"),
        pytest.param((96, 96, 50, 60), 0, (16, 8), (True, False), (80, 96, 67, 60), id="halved across"),
        pytest.param((96, 96, 50, 60), 0, (8, 16), (False, True), (96, 80, 50, 77), id="halved down"),
        pytest.param((100, 100, 50, 60), 10, MCU, BOTH, (80, 80, 81, 91), id="margin"),
        pytest.param((0, 0, 1, 1), 0, MCU, BOTH, (0, 0, 5, 2), id="five pixels across, to the right"),
        pytest.param((1919, 1079, 1, 1), 0, MCU, BOTH, (1904, 1072, 16, 8), id="the last pixel"),
        pytest.param((0, 0, 1920, 1080), 5, MCU, BOTH, (0, 0, 1920, 1080), id="the whole frame"),
    ],
)
def test_examples(
    rounded: tuple[int, int, int, int],
    margin: int,
    mcu: tuple[int, int],
    halved: tuple[bool, bool],
    expected: tuple[int, int, int, int],
) -> None:
    assert lossless_rectangle(Rectangle(*rounded), margin, FRAME, mcu, halved) == expected


def test_a_crop_that_cannot_widen_to_the_right_begins_one_mcu_further_left() -> None:
    assert lossless_rectangle(Rectangle(17, 0, 1, 4), 0, (18, 16), MCU, BOTH) == (0, 0, 18, 5)


def test_a_frame_narrower_than_five_pixels_is_taken_whole() -> None:
    assert lossless_rectangle(Rectangle(2, 0, 1, 4), 0, (4, 16), MCU, BOTH) == (0, 0, 4, 5)


def test_reencoded_crops_have_the_margin_and_nothing_more() -> None:
    assert reencode_rectangle(Rectangle(100, 3, 50, 60), 5, FRAME) == (95, 0, 60, 68)
    assert reencode_rectangle(Rectangle(1900, 1000, 20, 70), 15, FRAME) == (1885, 985, 35, 95)


def test_plans_say_where_the_box_lies_in_the_image() -> None:
    assert plan_lossless((100.5, 101.0, 49.5, 60.0), 2, FRAME, MCU, BOTH) == CropPlan(
        Rectangle(96, 96, 57, 68), Rectangle(4, 5, 50, 60)
    )
    assert plan_reencode((100.5, 101.0, 49.5, 60.0), 2, FRAME) == CropPlan(
        Rectangle(98, 99, 54, 64), Rectangle(2, 2, 50, 60)
    )


def test_there_is_no_plan_for_a_box_outside() -> None:
    assert plan_lossless((-50.0, 0.0, 50.0, 60.0), 100, FRAME, MCU, BOTH) is None
    assert plan_reencode((-50.0, 0.0, 50.0, 60.0), 100, FRAME) is None


@given(situations(), st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_a_resized_roi_covers_the_box_and_lies_in_the_image(
    situation: tuple[Rectangle, int, tuple[int, int], tuple[int, int], tuple[bool, bool]], size: tuple[int, int]
) -> None:
    rounded, margin, frame, _, _ = situation
    crop = reencode_rectangle(rounded, margin, frame)
    roi = Rectangle(rounded.left - crop.left, rounded.top - crop.top, rounded.width, rounded.height)
    scaled = scaled_roi(roi, (crop.width, crop.height), size)
    assert 0 <= scaled.left < scaled.right <= size[0]
    assert 0 <= scaled.top < scaled.bottom <= size[1]
    assert scaled.left * crop.width <= roi.left * size[0]
    assert scaled.bottom * crop.height >= roi.bottom * size[1] or scaled.bottom == size[1]
    if size == (crop.width, crop.height):
        assert scaled == roi


def test_a_box_is_clamped_where_any_side_leaves_the_frame() -> None:
    assert not is_clamped((0.0, 0.0, 1920.0, 1080.0), FRAME)
    for box in ((-0.1, 0, 5, 5), (0, -0.1, 5, 5), (1915.5, 0, 5, 5), (0, 1075.5, 5, 5)):
        assert is_clamped((float(box[0]), float(box[1]), float(box[2]), float(box[3])), FRAME)
