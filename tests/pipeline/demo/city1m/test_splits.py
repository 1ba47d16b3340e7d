from collections import Counter

import pytest

from pipeline.demo.city1m.splits import LABEL_FILES, SplitAssignment
from pipeline.demo.world import plan_groups


def cells(frames: int, seed: int) -> Counter[tuple[str, ...]]:
    groups = list(plan_groups(frames))
    assignment = SplitAssignment(seed, groups)
    return Counter(files for group in groups for files in assignment.label_files(group))


@pytest.mark.parametrize("frames", [20, 30, 100, 401])
@pytest.mark.parametrize("seed", [0, 7])
def test_every_label_file_gets_lines_and_every_frame_a_label(frames: int, seed: int) -> None:
    counted = cells(frames, seed)
    assert {file for files in counted for file in files} == set(LABEL_FILES)
    assert () not in counted
    assert counted.total() == frames


def test_the_protocols_overlap_with_different_splits() -> None:
    counted = cells(400, 0)
    assert counted["train_part1.txt", "train_part2.txt"]
    assert counted["train_part1.txt", "gallery_part2.txt"]
    assert counted["query_part1.txt", "train_part2.txt"]
    assert counted["query_part1.txt", "gallery_part1.txt", "train_part2.txt"]
    assert counted["gallery_part2.txt",]
    assert counted["gallery_part1.txt",]
    assert counted["train_part1.txt",]


def test_a_group_is_for_training_or_for_testing() -> None:
    groups = list(plan_groups(400))
    assignment = SplitAssignment(0, groups)
    for group in groups:
        for part in ("part1", "part2"):
            splits = {file.split("_")[0] for files in assignment.label_files(group) for file in files if part in file}
            assert splits in (set(), {"train"}, {"query", "gallery"})
