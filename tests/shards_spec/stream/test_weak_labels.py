"""Weakly labelled splits are streamed by folder, and nobody is taken for a person there."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from pipeline.demo import make_demo
from pipeline.sources.sysu30k import SYSU30K
from shards_spec import open_dataset
from shards_spec.errors import SpecError, UsageError
from tests.support.sets import convert_source

FOLDERS, EACH = 4, 3


@pytest.fixture(scope="module")
def weak_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("set")
    make_demo(source, source="sysu30k", images=200, workers=1)
    convert_source(SYSU30K, source, out, SYSU30K.make_options({"samples_per_shard": 40}))
    return out


def test_labels_of_a_weak_split_number_its_folders(weak_set: Path) -> None:
    stream = open_dataset(weak_set).stream(split="train")
    assert stream.label_level == "folder"
    assert stream.identities == []
    folders = stream.label_names
    assert folders == sorted(folders)
    samples = list(stream)
    assert {sample["json"]["identity"] for sample in samples} == {None}
    assert all(folders[sample["label"]] == sample["json"]["folder"] for sample in samples)
    assert {sample["json"]["folder"] for sample in samples} == set(folders)


def test_labels_of_test_splits_number_persons_together_and_distractors_are_nobody(weak_set: Path) -> None:
    dataset = open_dataset(weak_set)
    query, gallery = dataset.stream(split="query"), dataset.stream(split="gallery")
    assert query.label_level == gallery.label_level == "identity"
    assert query.identities == gallery.identities
    assert query.label_names == query.identities
    for sample in [*query, *gallery]:
        if sample["json"]["label_level"] == "distractor":
            assert sample["label"] == -1
            assert sample["json"]["identity"] is None
        else:
            assert query.identities[sample["label"]] == sample["json"]["identity"] == sample["json"]["folder"]
    assert any(sample["label"] == -1 for sample in gallery)


def test_folder_batches_have_as_many_folders_and_samples_as_asked(weak_set: Path) -> None:
    stream = open_dataset(weak_set).stream(split="train").folder_batches(folders=FOLDERS, per_folder=EACH)
    seen = set()
    for batch in stream.listed(FOLDERS * EACH):
        counts = Counter(sample["json"]["folder"] for sample in batch)
        assert list(counts.values()) == [EACH] * FOLDERS
        seen |= set(counts)
        keys = [sample["__key__"] for sample in batch if "__repeat__" not in sample]
        assert len(set(keys)) == len(keys)
    assert seen == set(stream.label_names)


def test_each_way_of_batching_is_refused_where_labels_are_of_another_kind(weak_set: Path) -> None:
    dataset = open_dataset(weak_set)
    with pytest.raises(UsageError, match=r"train \(p1-train\) is weakly labelled: .*folder_batches\(\)"):
        dataset.stream(split="train").identity_batches(2, 2)
    with pytest.raises(UsageError, match=r"query number identity, not folders: use identity_batches\(\)"):
        dataset.stream(split="query").folder_batches(2, 2)


def test_bags_are_handed_out_as_columns(weak_set: Path) -> None:
    dataset = open_dataset(weak_set)
    bags = dataset.bags()
    assert bags.column_names == ["bag_id", "labels", "folders"]
    assert bags.to_pylist() == json.loads((weak_set / "bags.json").read_text())
    of_folder = defaultdict(list)
    for bag in bags.to_pylist():
        for folder in bag["folders"]:
            of_folder[folder].append(bag["bag_id"])
    for sample in dataset.stream(split="train"):
        assert sample["json"]["bags"] == of_folder[sample["json"]["folder"]]


def test_bags_that_were_changed_are_refused(weak_set: Path) -> None:
    file = weak_set / "bags.json"
    data = file.read_bytes()
    file.write_bytes(data.replace(b"bag0000000001", b"bag0000000009", 1))
    try:
        with pytest.raises(SpecError, match=r"bags\.json is not what the manifest says"):
            open_dataset(weak_set).bags()
    finally:
        file.write_bytes(data)


def test_a_set_without_bags_says_so(set_folder: Path) -> None:
    dataset = open_dataset(set_folder)
    with pytest.raises(UsageError, match="sets of the variant city1m have none"):
        dataset.bags()
    with pytest.raises(UsageError, match="not folders"):
        dataset.stream(split="train").folder_batches(2, 2)
