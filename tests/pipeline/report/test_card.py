"""The dataset card: what it shows how to do, works."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pipeline.report.card import dataset_card
from pipeline.report.croissant import croissant
from pipeline.report.page import make_report
from pipeline.report.render import render
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from shards_spec.variants import variant_named

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("begins", ["from shards_spec import", "import glob, webdataset"])
def test_its_python_reads_the_train_split(set_folder: Path, begins: str) -> None:
    manifest = read_manifest(LocalStore(set_folder))
    samples = sum(manifest.cells[cell].samples for cell in manifest.protocols["p1"]["train"])
    card = (set_folder / "README.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if block.startswith(begins))
    lines = f"count = 0\n{code}    count += 1\nprint(count)\n"
    ran = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=set_folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(set_folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == f"{samples}\n", ran.stderr


def test_without_a_train_split_it_shows_another(set_folder: Path) -> None:
    manifest = read_manifest(LocalStore(set_folder))
    protocols = {"p2": {"query": manifest.protocols["p2"]["query"], "train": []}}
    card = dataset_card(msgspec.structs.replace(manifest, protocols=protocols))
    assert "With webdataset (p2, query)" in card
    assert 'stream(protocol="p2", split="query")' in card


def test_it_quotes_the_terms_of_the_dataset_and_how_to_cite_it(set_folder: Path) -> None:
    card = (set_folder / "README.md").read_text()
    variant = variant_named(read_manifest(LocalStore(set_folder)).variant)
    assert variant.license
    assert variant.citation
    assert variant.license in card
    assert variant.citation in card


def test_a_demo_does_not_pass_for_the_dataset(set_folder: Path) -> None:
    manifest = read_manifest(LocalStore(set_folder))
    origin = msgspec.structs.replace(manifest.source, demo=True)
    demo = msgspec.structs.replace(manifest, source=origin)
    variant = variant_named(manifest.variant)
    described = json.loads(croissant(demo))
    page = render("report", report=replace(make_report(LocalStore(set_folder), images=False), manifest=demo))
    for text in (dataset_card(demo), json.dumps(described), page):
        assert f"{origin.dataset} look-alike" in text
        assert "reid-shards demo" in text
        assert (variant.citation or "") not in text
        assert (variant.license or "") not in text
    assert described["name"] == f"{origin.dataset} look-alike"
    assert msgspec.to_builtins(origin)["demo"] is True
    assert "demo" not in msgspec.to_builtins(manifest.source)
