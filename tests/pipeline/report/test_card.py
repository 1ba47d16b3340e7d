"""The dataset card: what it shows how to do, works."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.report.card import dataset_card
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore

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
