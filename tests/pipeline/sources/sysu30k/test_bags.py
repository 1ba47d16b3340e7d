"""Bags are read as the dataset's repository shows them, and what is odd about them is counted."""

import json
from typing import Any

import pytest

from pipeline.sources.sysu30k.bags import parse_bags
from shards_spec.errors import UsageError
from shards_spec.rejects import Noted
from shards_spec.variants.sysu30k.bags import Bag, ids_of_folders

FOLDERS = {"0000000002", "0000000003", "0000000004"}


def raw(bag_id: str, labels: list[int], images: list[str]) -> dict[str, Any]:
    return {"BagLabel": labels, "BagID": bag_id, "BagImages": images}


def encode(*bags: dict[str, Any]) -> bytes:
    return json.dumps(bags).encode()


def test_the_example_of_the_repository_is_read() -> None:
    bags = parse_bags(
        encode(raw("bag0000000010", [2, 3, 4], ["0000000002/*", "0000000003/*", "0000000004/*"])), FOLDERS, "bags"
    )
    assert bags.bags == [Bag("bag0000000010", [2, 3, 4], ["0000000002", "0000000003", "0000000004"])]
    assert ids_of_folders(bags.bags)["0000000003"] == ["bag0000000010"]


def test_what_is_odd_is_counted_and_left_out() -> None:
    bags = parse_bags(
        b"\xef\xbb\xbf"
        + encode(
            raw("b", [3, 3, 2], ["0000000003/*", "./0000000002/*", "0000000003/*"]),
            raw("a", [9], ["0000000009/*", "0000000002/*"]),
            raw("b", [1], ["0000000004/*"]),
        ),
        FOLDERS,
        "bags",
    )
    assert bags.bags == [Bag("a", [9], ["0000000002"]), Bag("b", [2, 3], ["0000000002", "0000000003"])]
    assert bags.notes.total() == {
        "bag_folder_missing": Noted(1, ["a: 0000000009"]),
        "bag_label_repeated": Noted(1, ["b"]),
        "bag_repeated": Noted(1, ["b"]),
    }
    assert ids_of_folders(bags.bags) == {"0000000002": ["a", "b"], "0000000003": ["b"]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"BagID": "b"}]',
        encode({"BagLabel": ["two"], "BagID": "b", "BagImages": []}),
        encode({"BagLabel": [2], "BagID": 7, "BagImages": []}),
        b"\xff\xfe[\0]\0",
        b"[" * 100_000,
    ],
)
def test_other_files_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"bag_level_label\.json is no list of bags: .*get the file again"):
        parse_bags(data, FOLDERS, "bag_level_label.json")
