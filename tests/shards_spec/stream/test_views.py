"""What samples look like: bytes, pixels, tensors, frames."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shards_spec.errors import SpecError
from shards_spec.stream import Dataset, SampleError
from shards_spec.stream.views import IMAGENET_MEAN, IMAGENET_STD, View, sample_dict


def decoded(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_rgb_is_the_roi_or_the_whole_crop(dataset: Dataset) -> None:
    stored = {sample["__key__"]: sample for sample in dataset.stream()}
    for area in ("roi", "crop"):
        for sample in dataset.stream(decode="rgb", area=area):
            pixels = decoded(stored[sample["__key__"]]["jpg"])
            left, top, width, height = sample["json"]["roi"] if area == "roi" else (0, 0, *sample["json"]["image_size"])
            assert sample["jpg"].dtype == np.uint8
            assert np.array_equal(sample["jpg"], pixels[top : top + height, left : left + width])


def test_sizes_and_normalisation(dataset: Dataset) -> None:
    rgb = next(iter(dataset.stream(decode="rgb", size=(64, 32), seed=5)))["jpg"]
    tensor = next(iter(dataset.stream(decode="torch", size=(64, 32), seed=5)))["jpg"]
    assert rgb.shape == (64, 32, 3)
    assert tensor.shape == (3, 64, 32)
    assert tensor.dtype == torch.float32
    expected = (rgb / 255 - np.asarray(IMAGENET_MEAN)) / np.asarray(IMAGENET_STD)
    assert np.allclose(tensor.numpy().transpose(1, 2, 0), expected, atol=1e-5)
    plain = next(iter(dataset.stream(decode="torch", size=(64, 32), seed=5, mean=(0, 0, 0), std=(1, 1, 1))))["jpg"]
    assert np.allclose(plain.numpy().transpose(1, 2, 0), rgb / 255, atol=1e-6)


def test_frames_come_whole(dataset: Dataset) -> None:
    samples = {sample["__key__"]: sample for sample in dataset.stream()}
    frames = list(dataset.stream(by="frame"))
    assert sum(len(frame["jpg"]) for frame in frames) == len(samples)
    assert len({frame["__key__"] for frame in frames}) == len(frames)
    for frame in frames:
        count = len(frame["jpg"])
        assert count == frame["json"][0]["members"]
        for place in range(count):
            crop = samples[f"{frame['__key__']}_p{frame['person_id'][place]}"]
            assert frame["jpg"][place] == crop["jpg"]
            assert frame["label"][place] == crop["label"]
            assert frame["box"][place].tolist() == crop["json"]["box"]
            assert frame["depth"][place] == crop["json"]["depth"]
        assert frame["group_id"] == frame["json"][0]["group_id"]
        assert frame["camera"] == frame["json"][0]["camera"]


def test_frames_are_shared_and_batched(dataset: Dataset) -> None:
    whole = {frame["__key__"] for frame in dataset.stream(by="frame")}
    seen = []
    for rank in range(3):
        for batch in dataset.stream(by="frame", rank=rank, world_size=3).loader(4, num_workers=1):
            seen += batch["__key__"]
    assert len(seen) == len(set(seen))
    assert set(seen) == whole


def test_labels_number_the_identities(dataset: Dataset) -> None:
    train = dataset.stream()
    for sample in train:
        assert train.identities[sample["label"]] == sample["json"]["identity"]
    assert {sample["label"] for sample in train} == set(range(len(train.identities)))
    query, gallery = dataset.stream(split="query"), dataset.stream(split="gallery")
    assert query.identities == gallery.identities
    by_identity = {sample["json"]["identity"]: sample["label"] for sample in gallery}
    for sample in query:
        assert by_identity.get(sample["json"]["identity"], sample["label"]) == sample["label"]


def test_an_image_that_is_not_what_its_sidecar_says() -> None:
    view = View(decode="rgb").decoder()
    buffer = io.BytesIO()
    Image.new("L", (20, 10)).save(buffer, "JPEG")
    sidecar = {"image_size": [20, 10], "roi": [2, 2, 5, 6]}
    assert view(buffer.getvalue(), sidecar).shape == (6, 5, 3)  # grey becomes RGB
    with pytest.raises(SpecError, match="cannot be decoded"):
        view(b"GIF89a", sidecar)
    with pytest.raises(SpecError, match="its sidecar says"):
        view(buffer.getvalue(), sidecar | {"image_size": [10, 20]})


def test_undecodable_images_are_samples_that_cannot_be_read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("broken data stream")

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(SampleError, match="broken data stream"):
        next(iter(dataset.stream(decode="rgb")))
    stream = dataset.stream(decode="rgb", on_error="skip")
    assert list(stream) == []
    assert stream.skipped == len(stream.source.selection.rows)


def test_only_json_is_parsed() -> None:
    sample = sample_dict("k", (b"\x80\x04}.", b'{"a": 1}'), 0, View().decoder())
    assert sample == {"__key__": "k", "jpg": b"\x80\x04}.", "json": {"a": 1}, "label": 0}
