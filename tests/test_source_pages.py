"""The commands and the Python of the pages on sources and clusters run, on small data laid out as the pages say.

Those of the page on tables are tested beside these sources.
"""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.demo import make_demo
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from tests.support.processes import ROOT, environment
from tests.support.source import frame_image, mini_source
from tests.test_readme import blocks, commands, run

SOURCES = ROOT / "pipeline" / "sources"


def make_lite(folder: Path) -> None:
    """Crops of each labelled member, and 16 backgrounds."""
    source = mini_source()
    source.archives = {}
    source.write(folder)
    for line in {line for lines in source.labels.values() for line in lines}:
        name, *members = line.split()
        group, count = name.split("_")[0], len(members)
        for member in members:
            crop = folder / f"Image_{count}_crop" / group / f"{member.split(',')[0]}.jpg"
            crop.parent.mkdir(parents=True, exist_ok=True)
            crop.write_bytes(frame_image(int(group), (40, 90)))
    (folder / "background").mkdir()
    for camera in range(1, 9):
        for time in ("day", "night"):
            (folder / "background" / f"cam{camera}_{time}.jpg").write_bytes(frame_image(camera))


MAKERS: Mapping[str, Callable[[Path], object]] = {
    "City1M": lambda folder: mini_source().write(folder),
    "City1M-Lite": make_lite,
    "SYSU-30k": functools.partial(make_demo, source="sysu30k", images=150, workers=1),
}


def run_all(lines: Sequence[list[str]], folder: Path, variables: Mapping[str, str]) -> None:
    """Run commands one after the other, in a folder where what they name is made first."""
    for words in lines:
        if words[1] in {"plan", "convert", "reconstruct"}:
            name = words[2].rpartition("/")[2]
            if name in MAKERS and not (folder / name).exists():
                (folder / name).mkdir()
                MAKERS[name](folder / name)
        if words[1] == "convert":
            shutil.rmtree(folder / "shards", ignore_errors=True)
        run(words, folder, variables)
        if words[1] == "convert":
            manifest = read_manifest(LocalStore(folder / "shards"))
            assert (manifest.totals.samples > 0, manifest.rejects) == (True, {}), words


def run_python(page: Path, folder: Path, variables: Mapping[str, str]) -> None:
    (code,) = blocks(page, "python")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), **variables, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr


def test_city1m_lite(tmp_path: Path, on_ray: Mapping[str, str]) -> None:
    run_all(commands(SOURCES / "city1m" / "README.md"), tmp_path, on_ray)
    assert len(list((tmp_path / "frames").rglob("*.jpg"))) > 10


@pytest.mark.parametrize("page", ["city1m/models", "sysu30k"])
def test_what_is_taken_over(tmp_path: Path, on_ray: Mapping[str, str], page: str) -> None:
    run_all(commands(SOURCES / page / "README.md"), tmp_path, on_ray)
    run_python(SOURCES / page / "README.md", tmp_path, on_ray)


def test_a_cluster_and_python(tmp_path: Path, on_ray: Mapping[str, str]) -> None:
    page = ROOT / "pipeline" / "cluster" / "README.md"
    lines = [[word.replace("/shared", str(tmp_path)) for word in words] for words in commands(page)]
    assert lines[0][-2:] == ["--address", "auto"]
    run_all(lines, tmp_path, on_ray)
    (tmp_path / "shards").rename(tmp_path / "before")
    run_python(ROOT / "pipeline" / "run" / "README.md", tmp_path, on_ray)
    options = json.loads((tmp_path / "shards" / "dataset.json").read_text())["options"]
    assert options["margin"] == 8
