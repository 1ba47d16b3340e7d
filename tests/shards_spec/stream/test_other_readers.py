"""Other readers take the set as it is."""

import gc
import json
import warnings
from collections import Counter
from pathlib import Path

import datasets
import pytest
import webdataset
import wids  # type: ignore[import-untyped]

from shards_spec.errors import UsageError
from shards_spec.stream import Dataset, open_dataset
from shards_spec.stream.export import write_wids


@pytest.fixture(autouse=True)
def _quiet() -> object:
    """Other libraries leave files open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        gc.collect()


def test_stock_webdataset_reads_the_urls(dataset: Dataset) -> None:
    for split in ("train", "query", "gallery"):
        urls = dataset.urls(protocol=2, split=split)
        stock = Counter(sample["__key__"] for sample in webdataset.WebDataset(urls, shardshuffle=False))
        assert stock == Counter(sample["__key__"] for sample in dataset.stream(protocol=2, split=split))


def test_hugging_face_reads_the_urls(dataset: Dataset, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(
        "webdataset", data_files={"train": dataset.urls()}, split="train", cache_dir=str(tmp_path)
    )
    ours = {sample["__key__"]: sample["json"]["identity"] for sample in dataset.stream()}
    assert {row["__key__"]: row["json"]["identity"] for row in loaded} == ours
    streamed = datasets.load_dataset(
        "webdataset", data_files={"train": dataset.urls()}, split="train", streaming=True, cache_dir=str(tmp_path)
    )
    assert {row["__key__"] for row in streamed} == set(ours)


def test_the_wids_index_is_read_by_wids(dataset: Dataset, tmp_path: Path) -> None:
    written = write_wids(dataset, tmp_path)
    assert sorted(path.name for path in written) == sorted(
        f"wids-{protocol}-{split}.json" for protocol in ("p1", "p2") for split in ("train", "query", "gallery")
    )
    index = json.loads((tmp_path / "wids-p1-train.json").read_text())
    assert [shard["url"] for shard in index["shardlist"]] == dataset.urls()
    assert sum(shard["nsamples"] for shard in index["shardlist"]) == len(dataset.stream().source.selection.rows)
    for split in ("train", "gallery"):
        shards = wids.ShardListDataset(str(tmp_path / f"wids-p1-{split}.json"), cache_dir=str(tmp_path / "cache"))
        stock = {shards[place]["__key__"] for place in range(len(shards))}
        assert stock == {sample["__key__"] for sample in dataset.stream(split=split)}


def test_the_wids_index_does_not_go_into_the_set(copied: Path) -> None:
    with pytest.raises(UsageError, match="lies in the set"):
        write_wids(open_dataset(copied), copied / "wids")
