"""The whole run of TRAINING.md: identity and triplet loss, interrupted and resumed, then mAP and CMC."""

import io
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageColor, ImageDraw

from shards_spec import open_dataset
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
def example() -> dict[str, Any]:
    """The names that the page's whole run defines, as it stands there."""
    page = (Path(__file__).parents[3] / "shards_spec" / "stream" / "TRAINING.md").read_text()
    (code,) = (
        block for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "def train(" in block
    )
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "TRAINING.md", "exec"), names)
    return names


def test_the_loss_goes_down_and_a_resumed_run_is_the_same_run(dressed_set: Path, example: dict[str, Any]) -> None:
    train = example["train"]
    torch.use_deterministic_algorithms(mode=True)
    try:
        _, whole, _ = train(str(dressed_set), steps=12)
        _, first, checkpoint = train(str(dressed_set), steps=4)
        _, second, checkpoint = train(str(dressed_set), steps=3, checkpoint=checkpoint)
        model, third, _ = train(str(dressed_set), steps=2, checkpoint=checkpoint)
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert sum(whole[-4:]) < sum(whole[:4])
    assert first + second + third == pytest.approx(whole[:9], rel=1e-4)
    query, gallery = (example["embed"](model, str(dressed_set), split) for split in ("query", "gallery"))
    dataset = open_dataset(str(dressed_set))
    for split, (embeddings, labels, _) in (("query", query), ("gallery", gallery)):
        assert embeddings.shape == (len(labels), 32)
        assert len(labels) == len(dataset.stream(split=split, rank=0, world_size=1).source.selection.rows)
    precision, cmc = example["rank"](query, gallery)
    assert 0 < precision <= 1
    assert cmc == sorted(cmc)


def counted(query: list[Any], gallery: list[Any]) -> tuple[float, float]:
    """Return mAP and rank 1 as their definitions say, one pair at a time."""
    precisions, firsts = [], []
    for embedding, label, camera in query:
        answers = [
            (float(embedding @ one), other == label)
            for one, other, place in gallery
            if not (other == label and place == camera)
        ]
        answers.sort(key=lambda answer: -answer[0])
        places = [place for place, (_, is_right) in enumerate(answers, 1) if is_right]
        if label >= 0 and places:
            precisions.append(sum(found / place for found, place in enumerate(places, 1)) / len(places))
            firsts.append(places[0] == 1)
    return sum(precisions) / len(precisions), sum(firsts) / len(firsts)


def test_map_and_cmc_are_what_their_definitions_say(example: dict[str, Any]) -> None:
    random_numbers = torch.Generator().manual_seed(7)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        embeddings = torch.nn.functional.normalize(torch.randn(count, 8, generator=random_numbers))
        labels, cameras = (torch.randint(-1, high, (count,), generator=random_numbers) for high in (9, 3))
        return embeddings, labels, cameras

    query, gallery = draw(40), draw(90)
    precision, cmc = example["rank"](query, gallery)
    expected, first = counted(*(list(zip(*split, strict=True)) for split in (query, gallery)))
    assert precision == pytest.approx(expected, rel=1e-5)
    assert cmc[0] == pytest.approx(first)
