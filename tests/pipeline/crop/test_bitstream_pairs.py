import gc
import itertools
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crop.bitstream import JpegError, crop_jpeg, crop_jpegs, read_header
from tests.pipeline.crop.jpeg_variants import KINDS, Variant, encode, grid, render

Rectangles = list[tuple[int, int, int, int]]
Outcome = list[bytes] | tuple[type[JpegError], str]


def outcome_alone(data: bytes, rectangles: Rectangles) -> Outcome:
    try:
        return crop_jpeg(data, rectangles)
    except JpegError as error:
        return type(error), str(error)


def outcomes_together(frames: list[tuple[bytes, Rectangles]]) -> list[Outcome]:
    return [(type(r), str(r)) if isinstance(r, JpegError) else r for r in crop_jpegs(frames)]


@st.composite
def frames_and_rectangles(draw: st.DrawFn) -> tuple[bytes, Rectangles]:
    """JPEGs of all kinds and sizes, some of them damaged, with rectangles of which few do not fit."""
    variant = Variant(
        kind=draw(st.sampled_from(KINDS)),
        quality=draw(st.sampled_from((10, 75, 90, 100))),
        optimized=draw(st.booleans()),
        restart=draw(st.sampled_from((0, 0, 1, 7, 16, 33, 500, -1))),
    )
    data = encode(render(draw(st.integers(1, 400)), draw(st.integers(1, 200)), draw(st.integers(0, 9))), variant)
    rectangles = grid(read_header(data), 3, draw(st.integers(0, 99)))[draw(st.integers(0, 2)) : draw(st.integers(2, 5))]
    if draw(st.integers(0, 9)) == 0:
        rectangles.append((draw(st.integers(-8, 8)), 0, 8, draw(st.integers(0, 2**70))))
    damaged = bytearray(data)
    for _ in range(draw(st.sampled_from((0, 0, 1, 3)))):
        damaged[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(damaged[: draw(st.sampled_from((len(data), len(data), draw(st.integers(0, len(data))))))]), rectangles


@settings(max_examples=200, deadline=None)
@given(st.lists(frames_and_rectangles(), max_size=5))
def test_frames_cut_together_give_what_each_gives_alone(frames: list[tuple[bytes, Rectangles]]) -> None:
    assert outcomes_together(frames) == [outcome_alone(*frame) for frame in frames]


def test_an_error_stands_in_its_frames_place_and_touches_no_other() -> None:
    rectangles = [(0, 0, 203, 131), (64, 48, 100, 70)]
    intact = [encode(render(203, 131, seed), Variant(restart=seed)) for seed in range(2)]
    damaged = [b"no JPEG", intact[0][: len(intact[0]) // 2], intact[1].replace(b"\xff\xd1", b"\xff\xd2")]
    expected = {data: outcome_alone(data, rectangles) for data in (*intact, *damaged)}
    assert [isinstance(expected[data], list) for data in expected] == [True, True, False, False, False]
    for pair in itertools.product(expected, repeat=2):
        assert outcomes_together([(data, rectangles) for data in pair]) == [expected[data] for data in pair]


@pytest.mark.parametrize(
    "wrong", [7, [7], [b"data"], [(b"data",)], [(b"data", [], [])], [("data", [])], [[b"data", []]], [(b"data", 7)]]
)
def test_frames_of_other_types(wrong: object) -> None:
    with pytest.raises(TypeError):
        crop_jpegs(wrong)  # type: ignore[arg-type]


def test_wrong_types_behind_a_right_frame() -> None:
    frame = encode(render(61, 45), Variant()), [(0, 0, 16, 16)]
    for wrong in (7, (b"data", 7), (frame[0], [(0, 0, 16)])):
        with pytest.raises(TypeError):
            crop_jpegs([frame, wrong])  # type: ignore[list-item]
    assert outcomes_together([frame]) == [outcome_alone(*frame)]


def test_errors_die_with_their_last_reference() -> None:
    """Shards are made with the garbage collector off: an error in a cycle would keep its frame until the end."""
    gc.disable()
    try:
        try:
            crop_jpeg(b"no JPEG", [])
        except JpegError as error:
            reference = weakref.ref(error)
        assert reference() is None
    finally:
        gc.enable()
