from pathlib import Path

import numpy as np
import pytest

from pipeline.sources import text as text_module
from pipeline.sources.city1m.labels.merge import LabelledFrames, merge_lines
from pipeline.sources.city1m.labels.read import read_labels
from shards_spec.storage import LocalStore

MEMBERS = "0,1,2,3,4,5 1,6,7,8,9,10"
SWAPPED = "1,6,7,8,9,10 0,1,2,3,4,5"
OTHER = "0,1,2,3,4,5 1,6,7,8,9,11"


def merge(folder: Path, **files: list[str]) -> LabelledFrames:
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    labels = read_labels(LocalStore(folder))
    merged = merge_lines(labels)
    assert labels.blocks == []
    return merged


def label(index: int, members: str = MEMBERS) -> str:
    return f"1_pCount2_cam1_{index}_day.jpg {members}"


def indices(frames: LabelledFrames) -> list[int]:
    return [int(name.split(b"_")[3]) for name in frames.names.to_pylist()]


@pytest.fixture(params=[80, 1 << 24], autouse=True)
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCK_SIZE", request.param)


def test_a_frame_in_several_files_is_one_frame_in_all_their_splits(tmp_path: Path) -> None:
    frames = merge(
        tmp_path,
        gallery_part1=[label(1), label(2)],
        query_part1=[label(2, SWAPPED)],
        train_part2=[label(3, "7,0,0,1,1,1"), label(1)],
    )
    assert indices(frames) == [1, 2, 3]
    assert frames.splits.tolist() == [0b101, 0b011, 0b100]
    assert frames.counts.tolist() == [2, 2, 1]
    assert frames.starts.tolist() == [0, 2, 4, 5]
    assert frames.person_ids.tolist() == [0, 1, 0, 1, 7]
    assert frames.values[:, 0].tolist() == [1, 6, 1, 6, 0]
    assert list(zip(frames.files.tolist(), frames.lines.tolist(), strict=True)) == [(0, 1), (0, 2), (2, 1)]
    assert (frames.conflicts, frames.repeated_lines) == ({}, 0)


def test_equal_lines_of_one_file_are_repeated_ones(tmp_path: Path) -> None:
    lines = [label(1), label(2), label(1), label(1, SWAPPED), label(1, MEMBERS.replace("5", "5.0"))]
    frames = merge(tmp_path, train_part1=lines, query_part1=[label(1)])
    assert (frames.conflicts, frames.repeated_lines) == ({}, 3)


@pytest.mark.parametrize("members", [OTHER, "0,1,2,3,4,5", f"{MEMBERS} 2,1,1,1,1,1", MEMBERS.replace("1,6", "2,6")])
def test_a_frame_labelled_differently_is_a_conflict(tmp_path: Path, members: str) -> None:
    frames = merge(tmp_path, query_part1=[label(1), label(2)], train_part2=[label(2), label(1, members), label(1)])
    assert frames.conflicts == {0: (1, 2)}
    assert frames.repeated_lines == 0
    assert frames.counts.tolist() == [2, 2]


def test_equal_lines_among_differing_ones_are_repeated_all_the_same(tmp_path: Path) -> None:
    frames = merge(tmp_path, train_part1=[label(1), label(1, OTHER), label(1, OTHER), label(1), label(2)])
    assert frames.conflicts == {0: (0, 2)}
    assert frames.repeated_lines == 2


def test_nan_equals_nan_and_zero_equals_minus_zero(tmp_path: Path) -> None:
    lines = [label(1, "0,nan,0,1,1,1"), label(1, "0,NaN,-0,1,1,1"), label(1, "0,-nan,0.0,1,1,1")]
    frames = merge(tmp_path, train_part1=lines, query_part1=lines)
    assert (frames.conflicts, frames.repeated_lines) == ({}, 4)
    lines = [label(1, "0,1,0,1,1,1"), *lines[:2]]
    assert merge(tmp_path, train_part1=lines, query_part1=[]).repeated_lines == 1


def test_nan_differs_from_a_number(tmp_path: Path) -> None:
    assert merge(tmp_path, train_part1=[label(1, "0,nan,1,1,1,1"), label(1, "0,1,1,1,1,1")]).conflicts == {0: (0, 2)}


def test_members_with_one_id_are_compared_by_value(tmp_path: Path) -> None:
    frames = merge(tmp_path, train_part1=[label(1, "0,1,1,1,1,1 0,2,2,2,2,2"), label(1, "0,2,2,2,2,2 0,1,1,1,1,1")])
    assert (frames.conflicts, frames.repeated_lines) == ({}, 1)


def test_no_lines_are_no_frames(tmp_path: Path) -> None:
    frames = merge(tmp_path, train_part1=["", "  "])
    assert len(frames.names) == len(frames.counts) == 0
    assert frames.starts.tolist() == [0]


def test_many_frames_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(500).tolist()
    texts = {index: label(index, f"0,{index},1,1,1,1 3,{index + 1},1,1,1,1") for index in range(500)}
    frames = merge(tmp_path, train_part1=[texts[i] for i in order], train_part2=[texts[i] for i in range(500)])
    assert indices(frames) == order
    assert frames.values[::2, 0].tolist() == order
    assert (frames.splits == 3).all()
    assert (frames.conflicts, frames.repeated_lines) == ({}, 0)
