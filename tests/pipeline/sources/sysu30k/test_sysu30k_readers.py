"""A set of SYSU-30k as others read it: webdataset, Hugging Face datasets, mlcroissant, and people who read cards."""

import gc
import hashlib
import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import datasets
import msgspec
import pyarrow.parquet as pq
import pytest
import webdataset

from pipeline.report.card import dataset_card
from shards_spec.manifest import Manifest
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlcroissant


@pytest.fixture(scope="module")
def manifest(plain_set: Path) -> Manifest:
    return read_manifest(LocalStore(plain_set))


def test_stock_webdataset_reads_every_sample(plain_set: Path, manifest: Manifest) -> None:
    shards = [str(plain_set / shard.file) for cell in manifest.cells.values() for shard in cell.shards]
    found: dict[str, bytes] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to the garbage collector
        for sample in webdataset.WebDataset(shards, shardshuffle=False):
            found[f"{sample['__key__']}.jpg"] = sample["jpg"]
            found[f"{sample['__key__']}.json"] = sample["json"]
        gc.collect()
    wanted: dict[str, bytes] = {}
    for shard in shards:
        with tarfile.open(shard) as archive:
            wanted |= {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    assert found == wanted
    assert len(found) == 2 * manifest.totals.samples


@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_datasets_gives_the_counts_of_the_manifest(
    plain_set: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    found: Any = datasets.load_dataset(str(plain_set), streaming=streaming, cache_dir=str(tmp_path / "cache"))
    assert set(found) == {"train", "query", "gallery"}
    for split, samples in found.items():
        rows = list(samples.cast_column("jpg", datasets.Image(decode=False)))
        assert len(rows) == sum(manifest.cells[cell].samples for cell in manifest.protocols["p1"][split])
        levels = {row["json"]["label_level"] for row in rows}
        assert levels <= {"train": {"folder"}, "query": {"identity"}}.get(split, {"identity", "distractor"})
        for row in rows:
            sidecar = row["json"]
            assert (sidecar["identity"] is None) == (sidecar["label_level"] != "identity")
            assert sidecar["bags"] == sorted(sidecar["bags"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, which mlcroissant uses
def test_mlcroissant_gives_the_rows_of_the_indexes(plain_set: Path, manifest: Manifest) -> None:
    described: Any = mlcroissant.Dataset(jsonld=str(plain_set / "croissant.json"))
    for cell in manifest.cells:
        keys = [record[f"{cell}/key"].decode() for record in described.records(cell)]
        assert keys == pq.read_table(plain_set / cell / "index.parquet", columns=["key"])["key"].to_pylist()
    listed = json.loads((plain_set / "croissant.json").read_text())["distribution"]
    shards = [file for file in listed if file["contentUrl"].endswith(".tar")]
    assert {file["contentUrl"]: file["sha256"] for file in shards} == {
        shard.file: hashlib.sha256((plain_set / shard.file).read_bytes()).hexdigest()
        for cell in manifest.cells.values()
        for shard in cell.shards
    }


def test_the_card_says_in_the_authors_words_that_the_images_are_not_to_be_passed_on(manifest: Manifest) -> None:
    real = msgspec.structs.replace(manifest, source=msgspec.structs.replace(manifest.source, demo=False))
    card = dataset_card(real).replace("\n", " ")
    assert "You agree NOT to further copy, publish or distribute any portion of the SYSU-30k dataset." in card
    assert "available for non-commercial research purposes only" in card
    assert "Weakly Supervised Person Re-ID: Differentiable Graphical Learning and A New Benchmark" in card
