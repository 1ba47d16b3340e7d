"""A new user's walk: a JSON file and a folder of photographs, converted, looked at and trained from as written."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.demo import make_demo
from tests.support.processes import environment
from tests.test_readme import ROOT, blocks, commands, run

PAGE = ROOT / "pipeline" / "sources" / "tables" / "README.md"


def make_photographs(folder: Path) -> None:
    """Photographs in a folder, and their boxes in ``labels.json``, as an annotation tool exports them."""
    make_demo(folder / "demo", source="coco", images=30, workers=1)
    holiday = folder / "holiday"
    shutil.copytree(folder / "demo" / "photos", holiday / "photos")
    labels = json.loads((folder / "demo" / "annotations" / "train.json").read_text())
    there = {path.relative_to(holiday / "photos").as_posix() for path in holiday.rglob("*.jpg")}
    images = [image for image in labels["images"] if any(image["file_name"].endswith(path) for path in there)]
    ids = {image["id"] for image in images}
    labels["images"] = images
    labels["annotations"] = [one for one in labels["annotations"] if one["image_id"] in ids]
    (holiday / "labels.json").write_text(json.dumps(labels))


@pytest.mark.slow
def test_the_walk_of_a_new_user_works_as_written(tmp_path: Path, on_ray: Mapping[str, str]) -> None:
    make_photographs(tmp_path)
    walk = [words for words in commands(PAGE) if "holiday" in words or words[1] == "report"]
    assert [words[1] for words in walk] == ["plan", "convert", "verify", "report"]
    for words in walk:
        run(words, tmp_path, on_ray)
    assert (tmp_path / "shards" / "report.html").stat().st_size > 10_000
    (code,) = blocks(PAGE, "python")
    (tmp_path / "train.py").write_text(f"{code}    print(float(loss))\n")
    ran = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) >= 3
