"""The README's training example: a small model, identity and triplet loss, interrupted and resumed."""

import io
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageColor, ImageDraw

from tests.support.options import city1m_options
from tests.support.sets import make_set
from tests.support.source import MiniSource, mini_source


def dress(source: MiniSource) -> None:
    """Give each person clothes of colours that are theirs in every frame."""
    for line in source.labels["train_part1.txt"]:
        frame, *members = line.split(" ")
        group, count = frame.partition("_")[0], frame.partition("pCount")[2][0]
        images = source.archives[f"Images_{count}.zip"]
        image = Image.open(io.BytesIO(images[f"Images_{count}/{frame}"]))
        for member in members:
            person, left, top, width, height, _ = map(float, member.split(","))
            colours = random.Random(f"{group}-{person}").sample(list(ImageColor.colormap), 2)
            middle = top + height / 2
            ImageDraw.Draw(image).rectangle((left, top, left + width, middle), colours[0])
            ImageDraw.Draw(image).rectangle((left, middle, left + width, top + height), colours[1])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        images[f"Images_{count}/{frame}"] = buffer.getvalue()


@pytest.fixture(scope="module")
def dressed_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    source = mini_source(groups=12, frames_a_group=8)
    dress(source)
    make_set(source.write(folder / "source"), folder / "set", city1m_options(samples_per_shard=60))
    return folder / "set"


@pytest.fixture(scope="module")
def train() -> Callable[..., tuple[list[float], dict[str, Any]]]:
    """The README's ``train``, as it stands there."""
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (code,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
        if "def train(" in block
    )
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    function: Callable[..., tuple[list[float], dict[str, Any]]] = names["train"]
    return function


def test_the_loss_goes_down_and_a_resumed_run_is_the_same_run(
    dressed_set: Path, train: Callable[..., tuple[list[float], dict[str, Any]]]
) -> None:
    torch.use_deterministic_algorithms(mode=True)
    try:
        whole, _ = train(str(dressed_set), steps=16)
        first, checkpoint = train(str(dressed_set), steps=4)
        second, checkpoint = train(str(dressed_set), steps=3, checkpoint=checkpoint)
        third, _ = train(str(dressed_set), steps=2, checkpoint=checkpoint)
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert sum(whole[-4:]) < sum(whole[:4])
    assert first + second + third == pytest.approx(whole[:9], rel=1e-4)
