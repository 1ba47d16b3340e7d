"""The README's training example: a small model, identity and triplet loss, interrupted and resumed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.demo import make_demo
from pipeline.options import Options
from tests.support.sets import make_set


@pytest.fixture(scope="module")
def demo_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    make_demo(folder / "demo", frames=40, workers=1)
    make_set(folder / "demo", folder / "set", Options(samples_per_shard=60))
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
    demo_set: Path, train: Callable[..., tuple[list[float], dict[str, Any]]]
) -> None:
    torch.use_deterministic_algorithms(mode=True)
    try:
        whole, _ = train(str(demo_set), steps=16)
        first, checkpoint = train(str(demo_set), steps=4)
        second, checkpoint = train(str(demo_set), steps=3, checkpoint=checkpoint)
        third, _ = train(str(demo_set), steps=2, checkpoint=checkpoint)
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert sum(whole[-4:]) < sum(whole[:4])
    assert first + second + third == pytest.approx(whole[:9], rel=1e-4)
