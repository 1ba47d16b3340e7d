import pyarrow as pa
import pytest

from pipeline.sources.city1m.labels.names import (
    LARGEST_KEY,
    LARGEST_PERSON_ID,
    SURE_STEM,
    are_frame_files,
    base_names,
    frame_stem,
    parse_stems,
)
from shards_spec.errors import SpecError
from shards_spec.variants.city1m import make_key

STEM = "0009501_pCount2_cam1_0000001_day"


def test_a_name_says_group_count_camera_and_time() -> None:
    parsed = parse_stems(pa.array([STEM, "00095001_pCount6_cam8_9_night"]))
    assert parsed.group_ids.to_pylist() == ["0009501", "00095001"]
    assert parsed.member_counts.tolist() == [2, 6]
    assert parsed.cameras.tolist() == [1, 8]
    assert parsed.times.to_pylist() == ["day", "night"]
    assert parsed.member_counts.dtype == parsed.cameras.dtype == "int32"


def test_a_name_that_is_no_frame_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'background' is no frame's name"):
        parse_stems(pa.array([STEM, "background"]))


@pytest.mark.parametrize(
    "name",
    [
        f"{STEM}.jpg",
        f"{'1' * 40}_pCount999999999_cam999999999_{'2' * 10}_night.jpg",
    ],
)
def test_a_frame_file_is_known_in_a_column_and_alone(name: str) -> None:
    assert are_frame_files(pa.array([name])).to_pylist() == [True]
    assert are_frame_files(pa.array([name.encode()])).to_pylist() == [True]
    assert frame_stem(name.encode()) == name.removesuffix(".jpg")


@pytest.mark.parametrize(
    "name",
    [
        b"",
        STEM.encode(),
        f"{STEM}.JPG".encode(),
        f"{STEM}.jpg\n".encode(),
        f"Images_2/{STEM}.jpg".encode(),
        f" {STEM}.jpg".encode(),
        b"0009501_pCount2_cam1_0000001_dusk.jpg",
        b"0009501_pcount2_cam1_0000001_day.jpg",
        b"_pCount2_cam1_0000001_day.jpg",
        b"1_pCount1234567890_cam1_1_day.jpg",
        b"1_pCount2_cam1234567890_1_day.jpg",
        b"1_pCount-2_cam1_1_day.jpg",
        "\N{ARABIC-INDIC DIGIT ONE}_pCount2_cam1_1_day.jpg".encode(),
        b"1_pCount2_cam1_1\x00_day.jpg",
        b"1_pCount2_cam1_1_day.jpg\xff",
    ],
)
def test_other_names_are_no_frame_files(name: bytes) -> None:
    assert are_frame_files(pa.array([name])).to_pylist() == [False]
    assert frame_stem(name) is None


def test_folders_are_cut_off_member_names() -> None:
    names = ["a/b/c.jpg", "c.jpg", "a\\c.jpg", "a/", "../c.jpg", "x\ny/c.jpg"]
    assert base_names(pa.array(names)).to_pylist() == ["c.jpg", "c.jpg", "c.jpg", "", "c.jpg", "c.jpg"]
    assert base_names(pa.chunked_array([names[:2], names[2:]])).to_pylist()[2] == "c.jpg"


def test_a_sure_stem_leaves_room_for_every_person_id() -> None:
    assert len(make_key("1" * SURE_STEM, LARGEST_PERSON_ID)) == LARGEST_KEY
    with pytest.raises(SpecError):
        make_key("1" * (SURE_STEM + 1), LARGEST_PERSON_ID)


def test_a_stem_that_leaves_no_room_for_a_person_id_is_no_frame() -> None:
    tail = "_pCount2_cam1_1_day"
    longest = "1" * (LARGEST_KEY - len("_p0") - len(tail)) + tail
    assert frame_stem(f"{longest}.jpg".encode()) == longest
    assert frame_stem(f"1{longest}.jpg".encode()) is None
    make_key(longest, 9)
