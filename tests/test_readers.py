"""The set as others read it: stock webdataset, tar, Hugging Face datasets and DuckDB see the same samples."""

import gc
import hashlib
import io
import json
import subprocess
import warnings
import zlib
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pytest
import webdataset
from PIL import Image

from shards_spec.manifest_read import decode_manifest
from shards_spec.sidecar import decode_sidecar
from shards_spec.variants.city1m import CITY1M

Samples = dict[str, tuple[str, Any]]
"""Key to the digest of the image and the sidecar."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_by_webdataset(shards: list[str], *decode: str) -> list[dict[str, Any]]:
    """All samples by stock webdataset, which leaves its files to the garbage collector to close."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        dataset = webdataset.WebDataset(shards, shardshuffle=False)
        samples = list(dataset.decode(*decode) if decode else dataset)
        del dataset
        gc.collect()
    return samples


@pytest.fixture(scope="module")
def shards(set_folder: Path) -> list[str]:
    manifest = decode_manifest((set_folder / "dataset.json").read_bytes())
    return [str(set_folder / shard.file) for cell in manifest.cells.values() for shard in cell.shards]


@pytest.fixture(scope="module")
def by_tar(shards: list[str], tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """The samples as GNU tar unpacks them: the one reader here that knows nothing of the format."""
    folder = tmp_path_factory.mktemp("unpacked")
    for shard in shards:
        subprocess.run(["tar", "xf", shard], cwd=folder, check=True)
    return {
        path.stem: (digest(path.read_bytes()), json.loads(path.with_suffix(".json").read_text()))
        for path in folder.glob("*.jpg")
    }


def test_tar_unpacks_every_sample(by_tar: Samples, set_folder: Path) -> None:
    manifest = decode_manifest((set_folder / "dataset.json").read_bytes())
    assert (
        len(by_tar)
        == manifest.totals.samples
        == manifest.totals.accounts["members"].total - manifest.totals.accounts["members"].rejected
    )


def test_sha256sum_agrees_with_the_manifest(set_folder: Path) -> None:
    manifest = decode_manifest((set_folder / "dataset.json").read_bytes())
    lines = [f"{shard.sha256}  {shard.file}" for cell in manifest.cells.values() for shard in cell.shards]
    lines += [f"{cell.index.sha256}  {cell.index.file}" for cell in manifest.cells.values()]
    lines += [f"{entry.sha256}  {file}" for file, entry in manifest.files.items()]
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict"], cwd=set_folder, input="\n".join(lines), text=True, check=True
    )


def test_stock_webdataset_reads_every_sample(by_tar: Samples, shards: list[str]) -> None:
    found = {
        sample["__key__"]: (digest(sample["jpg"]), json.loads(sample["json"])) for sample in read_by_webdataset(shards)
    }
    assert found == by_tar


def test_stock_webdataset_decodes(shards: list[str]) -> None:
    samples = read_by_webdataset(shards[:2], "pil")
    assert samples
    for sample in samples:
        assert isinstance(sample["jpg"], Image.Image)
        assert list(sample["jpg"].size) == sample["json"]["image_size"]


def test_hugging_face_datasets_streams_every_sample(
    by_tar: Samples, shards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    stream = datasets.load_dataset(
        "webdataset", data_files={"all": shards}, split="all", streaming=True, cache_dir=str(tmp_path)
    ).cast_column("jpg", datasets.Image(decode=False))
    found = {row["__key__"]: (digest(row["jpg"]["bytes"]), row["json"]) for row in stream}
    assert found == by_tar


def test_duckdb_reads_the_index_and_the_bytes_are_where_it_says(by_tar: Samples, set_folder: Path) -> None:
    rows = duckdb.sql(
        f"select *, parse_dirname(filename) as cell from read_parquet('{set_folder}/*/index.parquet', filename = true)"
    )
    assert rows is not None
    names = rows.columns
    found: Samples = {}
    for values in rows.fetchall():
        row = dict(zip(names, values, strict=True))
        cell = Path(row["filename"]).parent.name
        data = (set_folder / cell / f"{cell}-{row['shard']:06d}.tar").read_bytes()
        image = data[row["jpg_offset"] : row["jpg_offset"] + row["jpg_size"]]
        text = data[row["json_offset"] : row["json_offset"] + row["json_size"]]
        assert (zlib.crc32(image), zlib.crc32(text)) == (row["jpg_crc32"], row["json_crc32"])
        found[row["key"]] = (digest(image), json.loads(text))
        sidecar = decode_sidecar(text, CITY1M)
        assert (row["box_x"], row["box_y"], row["box_w"], row["box_h"]) == sidecar.box
        assert {"p1": row["splits_p1"], "p2": row["splits_p2"]} == sidecar.splits
        assert Image.open(io.BytesIO(image)).size == (row["image_width"], row["image_height"])
        for name in ("frame", "group_id", "person_id", "identity", "camera", "time", "depth", "encoding", "members"):
            assert row[name] == getattr(sidecar, name)
    assert found == by_tar


def test_a_protocols_splits_are_unions_of_cells(set_folder: Path, by_tar: Samples) -> None:
    manifest = decode_manifest((set_folder / "dataset.json").read_bytes())
    for protocol, splits in manifest.protocols.items():
        for split, cells in splits.items():
            expected = {key for key, (_, sidecar) in by_tar.items() if split in sidecar["splits"][protocol]}
            shards = [str(set_folder / shard.file) for cell in cells for shard in manifest.cells[cell].shards]
            found = {sample["__key__"] for sample in read_by_webdataset(shards)}
            assert found == expected
            assert found
