import pyarrow as pa
import pytest

from pipeline.sources.city1m.labels.names import are_frame_files, parse_stems
from shards_spec.variants.city1m.names import FrameName, parse_frame_name

NAMES = [
    "0009501_pCount2_cam1_0000001_day",
    "00095001_pCount6_cam8_9_night",
    f"{'1' * 40}_pCount999999999_cam999999999_{'2' * 10}_night",
]
OTHERS = ["", "background", f"{NAMES[0]}.jpg", f"{NAMES[0]}\n", f" {NAMES[0]}", "1_pCount1234567890_cam1_1_day"]


def test_a_name_says_group_count_camera_and_time() -> None:
    assert parse_frame_name(NAMES[0]) == FrameName("0009501", 2, 1, "day")


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_no_frames(name: str) -> None:
    assert parse_frame_name(name) is None


def test_a_name_alone_says_what_a_column_says() -> None:
    column = parse_stems(pa.array(NAMES))
    rows = zip(
        column.group_ids.to_pylist(),
        column.member_counts.tolist(),
        column.cameras.tolist(),
        column.times.to_pylist(),
        strict=True,
    )
    assert [parse_frame_name(name) for name in NAMES] == list(rows)
    files = pa.array([f"{name}.jpg" for name in [*NAMES, *OTHERS]])
    assert are_frame_files(files).to_pylist() == [parse_frame_name(name) is not None for name in [*NAMES, *OTHERS]]
