"""Frames that are put together of crops of one colour."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.sources.city1m.lite.compose import Placed, compose_frame

STREET = Image.new("RGB", (160, 90), "gray")


def placed(colour: str, box: tuple[float, float, float, float], depth: float = 1.0) -> Placed:
    return Placed(Image.new("RGB", (12, 24), colour), box, depth)


def colour_at(jpeg: bytes, x: int, y: int) -> str:
    """Which of red, green and blue is the strongest; gray where none is."""
    pixel = np.asarray(Image.open(io.BytesIO(jpeg)))[y, x].astype(int)
    return "gray" if np.ptp(pixel) < 40 else ("red", "green", "blue")[int(pixel.argmax())]


def test_who_is_nearer_hides_who_is_farther_in_any_order() -> None:
    near, far = placed("red", (40, 20, 40, 60), 2.0), placed("blue", (60, 10, 40, 60), 9.0)
    for members in ([near, far], [far, near]):
        jpeg, drawn = compose_frame(STREET, members)
        assert drawn == 2
        assert [colour_at(jpeg, x, 40) for x in (20, 50, 70, 90, 120)] == ["gray", "red", "red", "blue", "gray"]


def test_of_a_box_beyond_the_frame_the_part_inside_is_drawn() -> None:
    crop = Image.new("RGB", (20, 20), "blue")
    crop.paste("red", (10, 0, 20, 20))
    jpeg, drawn = compose_frame(STREET, [Placed(crop, (-40.0, -10.0, 80.0, 110.0), 1.0)])
    assert (drawn, colour_at(jpeg, 20, 45), colour_at(jpeg, 60, 45)) == (1, "red", "gray")


@pytest.mark.parametrize(
    "box",
    [(10, 10, 0, 5), (10, 10, 5, -3), (160, 10, 5, 5), (-9, 10, 5, 5), (1e300, 1.0, 1.7e308, 5.0), (0, -1e9, 1, 5)],
)
def test_an_empty_box_and_one_outside_are_not_drawn(box: tuple[float, float, float, float]) -> None:
    jpeg, drawn = compose_frame(STREET, [placed("red", box)])
    assert drawn == 0
    assert colour_at(jpeg, 80, 45) == "gray"


_numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(_numbers, _numbers, _numbers, _numbers, _numbers), max_size=3))
def test_any_finite_numbers_give_a_frame(boxes: list[tuple[float, float, float, float, float]]) -> None:
    members = [placed("red", (x, y, width, height), depth) for x, y, width, height, depth in boxes]
    jpeg, drawn = compose_frame(STREET, members)
    assert Image.open(io.BytesIO(jpeg)).size == STREET.size
    assert 0 <= drawn <= len(members)


def test_a_gray_background_becomes_a_frame_in_colour() -> None:
    jpeg, _ = compose_frame(STREET.convert("L"), [placed("green", (0, 0, 160, 90))])
    assert colour_at(jpeg, 80, 45) == "green"
