from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.demo.appearance import dress
from pipeline.demo.city1m import frames
from pipeline.demo.city1m.frames import Label, place_members, render_frame
from pipeline.demo.seeds import generator
from pipeline.demo.world import Frame, plan_frames, plan_groups


@pytest.fixture(scope="module")
def planned() -> list[Frame]:
    return [plan_frames(5, group)[0] for group in plan_groups(300)]


def test_a_label_is_spelled_like_city1m_s() -> None:
    label = Label(0, (1477.3156, 230.6843, 186.0616, 346.3864), 1.5166)
    assert str(label) == "0,1477.3156,230.6843,186.0616,346.3864,1.5166"
    assert str(Label(1, (1752.9762, 215.4119, 153.7662, 221.532), 2.6906)).split(",")[4] == "221.532"


def test_boxes_enclose_what_is_drawn_within_a_pixel(planned: list[Frame]) -> None:
    for frame in planned:
        for sprite, label in zip(*place_members(5, frame, generator(0, "test")), strict=True):
            x, y, width, height = label.box
            opaque = sprite.image.getchannel("A").getbbox()
            assert opaque == (0, 0, *sprite.image.size)
            slack = np.array([
                sprite.left - x, sprite.top - y,
                x + width - sprite.left - sprite.image.width, y + height - sprite.top - sprite.image.height,
            ])  # fmt: skip
            assert (slack > 0).all()
            assert (slack < 1).all()


def test_a_person_is_as_tall_as_its_depth_says(planned: list[Frame]) -> None:
    for frame in planned:
        for label in place_members(5, frame, generator(0, "test"))[1]:
            metres = label.box[3] * label.depth / frame.camera.focal
            assert 1.3 < metres < 2.3


def test_nothing_but_persons_differs_from_the_empty_street(
    planned: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "_cast_shadow", lambda *_: None)
    monkeypatch.setattr(frames, "FEWEST_BYTES", 0)
    for frame in planned[::4]:
        plain = np.full((1080, 1920, 3), 128, np.uint8)
        rendered = render_frame(5, frame, plain, 95)
        with Image.open(BytesIO(rendered.jpeg)) as image:
            picture = np.asarray(image.convert("L"), np.int16)
        drawn = np.abs(picture - picture[0, 0]) > 24
        allowed = np.zeros_like(drawn)
        for label in rendered.labels:
            x, y, width, height = label.box
            inside = np.s_[int(y) : int(y + height) + 1, int(x) : int(x + width) + 1]
            allowed[inside] = True
            assert drawn[inside].mean() > 0.15
        assert not (drawn & ~allowed).any()


def test_clothes_stay_and_poses_change() -> None:
    group = next(plan_groups(200))
    first, second = plan_frames(0, group)[:2]
    assert dress(0, group.number, 0) == dress(0, group.number, 0)
    assert dress(0, group.number, 0) != dress(0, group.number, 1)
    one = place_members(0, first, generator(0, "test"))[0][0]
    two = place_members(0, second, generator(0, "test"))[0][0]
    assert one.image.tobytes() != two.image.tobytes()
