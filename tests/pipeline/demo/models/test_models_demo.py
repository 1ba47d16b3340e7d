"""The demo of person models: its files open in other programs, and are the same whoever draws them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from pipeline.demo import make_demo
from pipeline.demo.folder import DemoError
from pipeline.demo.models.fbx import binary_fbx, text_fbx
from pipeline.demo.models.make import figure_cards


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    summary = make_demo(tmp_path / "one", source="person-models", images=12, workers=1)
    assert make_demo(tmp_path / "two", source="person-models", images=12, workers=1) == summary
    assert summary.counts == {"models": 12, "in reserve": 2, "textures": 25}
    for name in summary.files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    textures = [Image.open(path).convert("RGB") for path in sorted((tmp_path / "one/Texture").glob("*_*.png"))]
    assert len({texture.tobytes() for texture in textures}) == len(textures) == 24
    assert {texture.size for texture in textures} == {(64, 128)}


def test_too_few_and_too_many_models_are_refused(tmp_path: Path) -> None:
    for images in (11, 30_001):
        with pytest.raises(DemoError, match=r"models are too many|too few for this demo: ask for"):
            make_demo(tmp_path / "out", source="person-models", images=images)


@pytest.mark.skipif(shutil.which("assimp") is None, reason="Debian's assimp-utils is not installed")
def test_assimp_reads_both_forms_of_a_figure(tmp_path: Path) -> None:
    told = []
    for form in (binary_fbx, text_fbx):
        path = tmp_path / f"{form.__name__}.fbx"
        path.write_bytes(form(figure_cards(["a.png", "b.png", "c.png"])))
        done = subprocess.run(["assimp", "info", path], capture_output=True, text=True, check=True).stdout
        lines = [" ".join(line.split()) for line in done.splitlines()]
        told.append([line for line in lines if line.startswith(("Meshes: 3", "Materials:", "Vertices:", "Faces:"))])
    assert told == [["Meshes: 3", "Materials: 3", "Vertices: 12", "Faces: 6"]] * 2
