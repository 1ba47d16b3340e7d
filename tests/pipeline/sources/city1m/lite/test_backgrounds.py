"""Which image is the background of which camera and time."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.sources.city1m.lite.backgrounds import find_backgrounds, parse_place
from pipeline.sources.city1m.options import parse_backgrounds
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore
from tests.support.source import write_zip


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("background/cam1_day.jpg", (1, "day")),
        ("Camera 08 NIGHT.png", (8, "night")),
        ("3day.jpg", (3, "day")),
        ("night/cam5.jpg", (5, "night")),
        ("cam6/day.jpg", (6, "day")),
        ("backgrounds.zip:bg/cam2-night.jpg", (2, "night")),
        ("bg_2022_cam7_day.jpg", (7, "day")),
        ("scam4_day.jpg", (4, "day")),
        ("cam1_day_night.jpg", None),
        ("1_2_day.jpg", None),
        ("street.jpg", None),
        ("day.jpg", None),
    ],
)
def test_a_name_says_camera_and_time_or_nothing(path: str, place: tuple[int, str] | None) -> None:
    assert parse_place(path) == place


def image(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 36), colour).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("streets/cam1_day.jpg", "streets/old.jpg", "Image_2_crop/cam2_day.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(image("red"))
    write_zip(tmp_path / "night.zip", {"bg/cam1_night.jpg": image("blue")})
    return tmp_path


def test_images_are_found_in_folders_and_zips_and_taken_as_the_option_says(folder: Path) -> None:
    store = LocalStore(folder)
    found = find_backgrounds(store, [(1, "day"), (1, "night")], ())
    assert {place: one.where for place, one in found.items()} == {
        (1, "day"): "streets/cam1_day.jpg",
        (1, "night"): "night.zip:bg/cam1_night.jpg",
    }
    assert {one.size for one in found.values()} == {(64, 36)}
    given = parse_backgrounds("1-day=streets/old.jpg, 2-night=night.zip:bg/cam1_night.jpg")
    found = find_backgrounds(store, [(1, "day"), (2, "night")], given)
    assert [one.where for one in found.values()] == ["streets/old.jpg", "night.zip:bg/cam1_night.jpg"]


def test_what_is_not_clear_is_refused_with_the_remedy(folder: Path) -> None:
    store = LocalStore(folder)
    with pytest.raises(UsageError, match=r"camera 2 by day; there is .*old\.jpg.*--backgrounds 2-day=FILE"):
        find_backgrounds(store, [(2, "day")], ())  # the one in the folder of crops is not asked
    (folder / "day1.jpg").write_bytes(image("green"))
    with pytest.raises(UsageError, match=r"camera 1 by day; there is day1\.jpg, streets/cam1_day\.jpg"):
        find_backgrounds(store, [(1, "day")], ())
    with pytest.raises(UsageError, match=r"there is no image nowhere\.jpg"):
        find_backgrounds(store, [(1, "day")], [("1-day", "nowhere.jpg")])
    with pytest.raises(UsageError, match=r"--backgrounds noon: a place is a camera and a time"):
        find_backgrounds(store, [(1, "day")], [("noon", "day1.jpg")])
    with pytest.raises(UsageError, match=r"give a camera, day or night, and a file"):
        parse_backgrounds("1-day")
    (folder / "\udcff.jpg").write_bytes(image("green"))
    with pytest.raises(UsageError, match=r"the name of the background '\\udcff\.jpg' is not UTF-8: rename it"):
        find_backgrounds(store, [(1, "day")], [("1-day", "\udcff.jpg")])
    for name in ("pipe.zip", "streets/pipe.png"):
        os.mkfifo(folder / name)
        with pytest.raises(UsageError, match=rf"{name} is a named pipe, not a file: take it away"):
            find_backgrounds(store, [(1, "day")], [("1-day", "day1.jpg")])
        (folder / name).unlink()
    (folder / "day1.jpg").write_bytes(image("green")[:100])
    with pytest.raises(UsageError, match=r"the background day1\.jpg cannot be decoded"):
        find_backgrounds(store, [(1, "day")], [("1-day", "day1.jpg")])
