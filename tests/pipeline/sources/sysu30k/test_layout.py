"""The files of SYSU-30k are found wherever people put them."""

from pathlib import Path

import pytest

from pipeline.sources.sysu30k.layout import find_layout
from pipeline.sources.sysu30k.recognise import is_sysu_name, look_for_sysu30k
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore


def touch(folder: Path, *names: str) -> LocalStore:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return LocalStore(folder)


def test_tars_are_taken_in_their_natural_order_with_lists_beside_or_below(tmp_path: Path) -> None:
    parts = [f"sysu_train_set_all_part{number}.tar" for number in (10, 2, 1)]
    store = touch(tmp_path, *parts, "sysu_test_set_all.tar", "meta/train.txt", "query.txt", "meta/bag_level_label.txt")
    layout = find_layout(store)
    assert layout.tars == ["sysu_test_set_all.tar", *reversed(parts)]
    assert {split: file.path for split, file in layout.lists.items()} == {
        "train": "meta/train.txt",
        "query": "query.txt",
    }
    assert layout.bags is not None
    assert layout.bags.path == "meta/bag_level_label.txt"
    assert look_for_sysu30k(store).is_recognised


def test_unpacked_roots_are_found_below_any_parents_and_not_looked_into(tmp_path: Path) -> None:
    parent = "SYSU-30k-released/SYSU-30k-released"
    store = touch(
        tmp_path,
        f"{parent}/sysu_train_set_all/0000000001/train.txt",
        f"{parent}/sysu_test_set_all/query/000028311/a.jpg",
        f"{parent}/meta/gallery.txt",
    )
    layout = find_layout(store)
    assert layout.folders == [f"{parent}/sysu_test_set_all", f"{parent}/sysu_train_set_all"]
    assert {split: file.path for split, file in layout.lists.items()} == {"gallery": f"{parent}/meta/gallery.txt"}
    assert not layout.tars


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train.txt",), "neither a tar such as sysu_train_set_all_part1.tar nor a folder"),
        (("sysu_test_set_all.tar", "sysu_train_set_all/0000000001/a.jpg"), "both sysu_test_set_all.tar and the folder"),
        (("sysu_test_set_all.tar", "train.txt", "meta/train.txt"), "both train.txt and meta/train.txt are there"),
        (("a/sysu_test_set_all/x", "b/sysu_test_set_all/x"), "have the same name"),
    ],
)
def test_what_is_not_clear_is_refused_by_name(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_layout(touch(tmp_path, *names))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("sysu_train_set_all_part1.tar", True),
        ("sysu_test_set_all.tar", True),
        ("SYSU_train_set_all.tar.gz", True),
        ("sysu_train_set_all", True),
        ("Images_2.zip", False),
        ("sysu_train_set_all.txt", False),
    ],
)
def test_names_are_recognised(name: str, is_one: bool) -> None:
    assert is_sysu_name(name) is is_one


@pytest.mark.parametrize(
    "inside",
    [
        "train/sysu_train_set_all_part1.tar",
        "test/sysu_test_set_all.tar",
        "SYSU-30k-released/SYSU-30k-released/sysu_train_set_all",
        "sysu-30k-released/train/sysu_train_set_all_part1.tar",
    ],
)
def test_the_folders_that_the_dataset_is_handed_out_in_are_looked_into(tmp_path: Path, inside: str) -> None:
    look = look_for_sysu30k(touch(tmp_path, f"{inside}/a" if inside.endswith("_all") else inside))
    assert (look.is_recognised, look.what) == (True, inside)
    assert not look_for_sysu30k(touch(tmp_path / "other", "others/sysu_test_set_all.tar")).is_recognised
