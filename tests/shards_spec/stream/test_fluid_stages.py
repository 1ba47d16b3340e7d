"""webdataset's stages behind a stream: each does what it does behind webdataset's own reader."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards_spec.stream import Dataset
from shards_spec.stream.pipeline import Stream


@pytest.fixture(scope="module")
def samples(dataset: Dataset) -> list[dict[str, Any]]:
    return list(dataset.stream(shuffle=False))


def plain(dataset: Dataset) -> Stream:
    return dataset.stream(shuffle=False)


def test_decode(dataset: Dataset, samples: list[dict[str, Any]]) -> None:
    for sample, (image, sidecar, label) in zip(
        samples, plain(dataset).decode("pil").to_tuple("jpg", "json", "label"), strict=True
    ):
        assert isinstance(image, Image.Image)
        assert list(image.size) == sidecar["image_size"]
        assert (sidecar, label) == (sample["json"], sample["label"])
    first = next(iter(plain(dataset).decode("rgb8", only="jpg")))
    assert first["jpg"].dtype == np.uint8
    upper = next(iter(plain(dataset).decode(lambda name, data: len(data) if name == ".jpg" else None)))
    assert upper["jpg"] == len(samples[0]["jpg"])


STAGES: dict[str, tuple[Callable[[Stream], Any], Callable[[dict[str, Any]], Any]]] = {
    "map": (lambda s: s.map(lambda one: one["__key__"]), lambda one: one["__key__"]),
    "to_tuple": (lambda s: s.to_tuple("__key__", "png;jpg", "label"), lambda o: (o["__key__"], o["jpg"], o["label"])),
    "map_tuple": (
        lambda s: s.to_tuple("jpg", "label").map_tuple(len, lambda label: -label),
        lambda one: (len(one["jpg"]), -one["label"]),
    ),
    "map_dict": (lambda s: s.map_dict(jpg=len), lambda one: one | {"jpg": len(one["jpg"])}),
    "rename": (
        lambda s: s.rename(image="jpg", meta="json"),
        lambda one: {"__key__": one["__key__"], "image": one["jpg"], "meta": one["json"], "label": one["label"]},
    ),
    "rename_keys": (
        lambda s: s.rename_keys(("image", "jpg"), ("meta", "json"), keep_unselected=True),
        lambda one: {"__key__": one["__key__"], "image": one["jpg"], "meta": one["json"], "label": one["label"]},
    ),
    "extract_keys": (lambda s: s.extract_keys("jpg", "json"), lambda one: (one["jpg"], one["json"])),
    "log_keys": (lambda s: s.log_keys(None), lambda one: one),
    "mcached": (lambda s: s.mcached(), lambda one: one),
    "listed and unlisted": (lambda s: s.listed(7).unlisted(), lambda one: one),
    "batched and unbatched": (
        lambda s: s.to_tuple("__key__", "label").batched(5).unbatched(),
        lambda one: (one["__key__"], one["label"]),
    ),
    "xdecode": (lambda s: s.xdecode(("*.never", len), must_decode=False), lambda one: one),
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_that_take_each_sample(dataset: Dataset, samples: list[dict[str, Any]], name: str) -> None:
    stage, expected = STAGES[name]
    assert list(stage(plain(dataset))) == [expected(sample) for sample in samples]


def test_stages_that_choose(dataset: Dataset, samples: list[dict[str, Any]], tmp_path: Path) -> None:
    keys = [sample["__key__"] for sample in samples]

    def keys_of(stream: Any) -> list[str]:
        return [sample["__key__"] for sample in stream]

    third = [sample["__key__"] for sample in samples if sample["json"]["camera"] == 3]
    assert keys_of(plain(dataset).select(lambda sample: sample["json"]["camera"] == 3)) == third
    assert keys_of(plain(dataset).slice(3, 20, 2)) == keys[3:20:2]
    assert keys_of(plain(dataset).slice(4)) == keys[:4]
    shuffled = keys_of(plain(dataset).shuffle(50, rng=random.Random(1)))
    assert shuffled != keys
    assert sorted(shuffled) == sorted(keys)
    random.seed(3)
    assert 0 < len(keys_of(plain(dataset).rsample(0.5))) < len(keys)
    stream = plain(dataset)
    assert keys_of(stream.repeat(2)) == keys * 2
    assert keys_of(plain(dataset).with_epoch(10)) == keys[:10]
    assert not list(tmp_path.iterdir())
