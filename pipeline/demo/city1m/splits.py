"""Which label files name which frame: two protocols over the same frames, with different train and test groups."""

from collections.abc import Sequence
from typing import Literal

from pipeline.demo.seeds import generator
from pipeline.demo.world import Group

LABEL_FILES = (
    "train_part1.txt", "query_part1.txt", "gallery_part1.txt",
    "train_part2.txt", "query_part2.txt", "gallery_part2.txt",
)  # fmt: skip
QUERIES = 0.2
"""Fraction of a test group's frames that are queries."""

Role = Literal["train", "test", "none"]

ROLES: tuple[tuple[Role, Role], ...] = (
    ("train", "train"), ("train", "test"), ("test", "train"), ("test", "test"), ("none", "test"),
    ("train", "test"), ("test", "train"), ("test", "test"), ("test", "none"), ("train", "train"),
    ("train", "train"), ("train", "test"), ("test", "train"), ("test", "test"), ("none", "train"),
    ("train", "test"), ("test", "train"), ("test", "test"), ("train", "none"), ("test", "test"),
)  # fmt: skip
"""Roles of groups in Protocol@1 and Protocol@2, assigned in turn; the first ten groups already give every kind of
cell."""


class SplitAssignment:
    """Every group's roles in the two protocols."""

    def __init__(self, seed: int, groups: Sequence[Group]) -> None:
        self._seed = seed
        order = generator(seed, "protocols").permutation(len(groups))
        self._turn = {groups[int(index)].number: turn for turn, index in enumerate(order)}

    def label_files(self, group: Group) -> list[tuple[str, ...]]:
        """Return, for each frame of a group, the label files that hold its line."""
        turn = self._turn[group.number]
        files: list[list[str]] = [[] for _ in range(group.frames)]
        for protocol, role in enumerate(ROLES[turn % len(ROLES)], start=1):
            order = generator(self._seed, "queries", group.number, protocol).permutation(group.frames).tolist()
            queries = order[: max(1, round(QUERIES * group.frames))]
            # As in City1M, a query can be in the gallery as well.
            also_gallery = queries[:1] if turn % 2 == 0 else []
            for frame, names in enumerate(files):
                if role == "train":
                    names.append(f"train_part{protocol}.txt")
                if role == "test" and frame in queries:
                    names.append(f"query_part{protocol}.txt")
                if role == "test" and (frame not in queries or frame in also_gallery):
                    names.append(f"gallery_part{protocol}.txt")
        return [tuple(names) for names in files]
