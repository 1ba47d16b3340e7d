"""``croissant.json``: mlcroissant loads the records of the index from it, and its digests are those of the files."""

import hashlib
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlcroissant

from tests.support.sets import digests

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, which mlcroissant uses


@pytest.fixture(scope="module")
def dataset(set_folder: Path) -> Any:
    return mlcroissant.Dataset(jsonld=str(set_folder / "croissant.json"))


def plain(value: Any) -> Any:
    """A value as the index has it: mlcroissant gives texts as bytes."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


def test_its_records_are_the_rows_of_the_indexes(set_folder: Path, dataset: Any) -> None:
    cells = json.loads((set_folder / "dataset.json").read_text())["cells"]
    assert [record_set.uuid for record_set in dataset.metadata.record_sets] == list(cells)
    for cell in cells:
        records = [
            {name.removeprefix(f"{cell}/"): plain(value) for name, value in record.items()}
            for record in dataset.records(cell)
        ]
        assert records == pq.read_table(set_folder / cell / "index.parquet").to_pylist()


def test_it_lists_every_shard_and_index_with_its_digest(set_folder: Path) -> None:
    listed = json.loads((set_folder / "croissant.json").read_text())["distribution"]
    expected = {file: digest for file, digest in digests(set_folder).items() if file.endswith((".tar", ".parquet"))}
    assert {file["contentUrl"]: file["sha256"] for file in listed} == expected
    for file in listed:
        if "contentSize" in file:
            assert file["contentSize"] == f"{(set_folder / file['contentUrl']).stat().st_size} B"


def test_it_is_valid_croissant_1_1_of_the_standard_context(set_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read = mlcroissant.Dataset(jsonld=str(set_folder / "croissant.json"))
    assert read.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert "@context" not in caplog.text
    assert list(read.metadata.ctx.issues.errors) == []
    missing = {"datePublished", "version"}  # a date would make equal sets differ, and a set has no version of its own
    assert all(any(name in warning for name in missing) for warning in read.metadata.ctx.issues.warnings)


def test_the_manifest_has_its_digest(set_folder: Path) -> None:
    files = json.loads((set_folder / "dataset.json").read_text())["files"]
    data = (set_folder / "croissant.json").read_bytes()
    assert files["croissant.json"] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert list(files) == ["README.md", "croissant.json", "rejects.jsonl"]
