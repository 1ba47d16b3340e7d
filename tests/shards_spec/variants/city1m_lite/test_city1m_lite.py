"""What the path of a crop says, and what ``verify`` finds wrong with a sidecar of ``city1m-lite``."""

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shards_spec.errors import SpecError
from shards_spec.variants.city1m_lite import CITY1M_LITE, Sidecar
from shards_spec.variants.city1m_lite.paths import (
    FRAME_CROP_PATTERN,
    GROUP_CROP_PATTERN,
    CropPath,
    parse_crop_path,
)

FRAME = "0009501_pCount2_cam1_0000001_day"
PATHS: dict[str, CropPath | None] = {
    "Image_2_crop/0009501/0.jpg": CropPath("0009501", None, 0),
    "Images_2_crop/9501/01.JPG": CropPath("9501", None, 1),
    "image_6_CROP/0009501/best/5.png": CropPath("0009501", None, 5),
    f"Image_2_crop/{FRAME}/1.jpg": CropPath(None, FRAME, 1),
    f"Image_2_crop/0009501/{FRAME}/1.jpg": CropPath(None, FRAME, 1),
    f"Image_2_crop/0009501/{FRAME}/crops/1.jpg": CropPath(None, FRAME, 1),
    f"Image_2_crop/0009501/{FRAME}_1.jpg": CropPath(None, FRAME, 1),
    f"Image_2_crop/0009502_pCount2_cam1_0000001_day/{FRAME}_1.jpg": CropPath(None, FRAME, 1),
    "Image_2_crop/0009501/thumb.jpg": None,
    "Image_2_crop/0009501/0.txt": None,
    "Image_2_crop/0.jpg": None,
    "Image_2_crop/group/0.jpg": None,
    "Image_2/0009501/0.jpg": None,
    "Image_2_crop/0009501/12345678901.jpg": None,
    "Image_2_crop/\N{ARABIC-INDIC DIGIT ONE}/0.jpg": None,
}


def test_a_path_names_the_group_and_member_or_the_frame() -> None:
    assert {path: parse_crop_path(path) for path in PATHS} == PATHS


def test_columns_of_paths_are_read_alike() -> None:
    paths = pa.array(list(PATHS))
    by_frame = pc.extract_regex(paths, f"^{FRAME_CROP_PATTERN}$").to_pylist()
    by_group = pc.extract_regex(paths, f"^{GROUP_CROP_PATTERN}$").to_pylist()
    read = [
        CropPath(None, one["frame"], int(one["member"]))
        if one is not None
        else None
        if other is None
        else CropPath(other["group"], None, int(other["member"]))
        for one, other in zip(by_frame, by_group, strict=True)
    ]
    assert read == list(PATHS.values())


def sidecar(**changes: Any) -> Sidecar:
    """That of a crop of a frame."""
    fields: dict[str, Any] = {
        "spec": "1.0", "image": f"Image_2_crop/{FRAME}/1.jpg", "group_id": "0009501", "person_id": 1,
        "identity": "0009501-1", "frames": 3, "frame": FRAME, "camera": 1, "time": "day", "depth": 2.5,
        "box": (1.0, 2.0, 30.0, 60.0), "members": 2, "image_size": (30, 60), "roi": (0, 0, 30, 60),
        "encoding": "source", "splits": {"p1": ["train"]},
    }  # fmt: skip
    return Sidecar(**{**fields, **changes})


def of_group(**changes: Any) -> Sidecar:
    """That of a crop of a group."""
    nothing = dict.fromkeys(("frame", "camera", "time", "depth", "box"))
    return sidecar(**{"image": "Image_2_crop/9501/1.jpg", **nothing, **changes})


def test_crops_of_frames_and_of_groups_are_sound() -> None:
    for one in (sidecar(), sidecar(box=None, depth=None), of_group()):
        CITY1M_LITE.check_sample(one, {}, False)
    CITY1M_LITE.check_sample(sidecar(identity="1"), {}, True)
    assert CITY1M_LITE.keys(of_group())[0] == "Image_2_crop_9501_1"


@pytest.mark.parametrize(
    ("contradicting", "what"),
    [
        (sidecar(image="crops/0.jpg"), "is not the path of a crop"),
        (sidecar(frame=None), "frame is None"),
        (sidecar(camera=2), "camera is 2"),
        (sidecar(time="night"), "time is 'night'"),
        (sidecar(group_id="9501"), "group_id is '9501'"),
        (sidecar(person_id=0), "person_id is 0"),
        (sidecar(identity="0009501-2"), "identity is '0009501-2'"),
        (sidecar(roi=(0, 0, 29, 60)), "roi is "),
        (sidecar(box=None), "a box goes with a frame and a depth"),
        (sidecar(depth=None), "a box goes with a frame and a depth"),
        (sidecar(box=(1.0, 2.0, float("inf"), 3.0)), "box is "),
        (of_group(group_id="0009502"), "group_id is '0009502'"),
        (of_group(camera=1), "camera is 1"),
        (of_group(box=(1.0, 2.0, 3.0, 4.0), depth=1.0), "a box goes with a frame and a depth"),
    ],
    ids=str,
)
def test_what_contradicts_the_path_is_found(contradicting: Sidecar, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        CITY1M_LITE.check_sample(contradicting, {}, False)


def test_fields_stand_in_the_order_of_the_specification() -> None:
    first = ["spec", "image", "group_id", "person_id", "identity", "frames", "frame", "camera", "time", "depth", "box"]
    last = ["members", "image_size", "roi", "encoding", "splits"]
    assert list(msgspec.structs.asdict(sidecar())) == first + last
