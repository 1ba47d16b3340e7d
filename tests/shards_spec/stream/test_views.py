"""What samples look like: bytes, pixels, tensors, frames."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shards_spec.errors import SpecError, UsageError
from shards_spec.stream import Dataset, SampleError, decoding, open_dataset
from shards_spec.stream.views import IMAGENET_MEAN, IMAGENET_STD, View, unit_dict
from shards_spec.variants import Variant
from shards_spec.variants.city1m import CITY1M
from tests.support.bombs import many_scans
from tests.support.options import city1m_options
from tests.support.sets import make_set


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


def test_frames_have_a_label_of_their_group(dataset: Dataset) -> None:
    train = dataset.stream(by="frame")
    assert len(train.groups) == len(set(train.groups)) > 1
    labels = set()
    for batch in train.loader(4):
        assert batch["group_label"].dtype == torch.int64
        assert [train.groups[label] for label in batch["group_label"]] == batch["group_id"]
        labels.update(batch["group_label"].tolist())
    assert labels == set(range(len(train.groups)))
    assert dataset.stream(split="query", by="frame").groups == dataset.stream(split="gallery", by="frame").groups


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


def jpeg(mode: str = "RGB", size: tuple[int, int] = (20, 10), **options: Any) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 255, (size[1], size[0], len(mode)), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(quality=95, subsampling=0, restart_marker_rows=1),
        jpeg(progressive=True, comment=b"\xff\xc0\x00\x08", exif=b"Exif\0\0\xff\xc0\x00\x08"),
        jpeg("L"),
        jpeg("CMYK"),
        jpeg()[:2] + b"\xff" + jpeg()[2:],  # a fill byte
    ],
)
def test_every_kind_of_jpeg_is_decoded_as_pillow_does(data: bytes) -> None:
    sidecar = {"image_size": [20, 10], "roi": [2, 1, 15, 8]}
    expected = decoded(data)[1:9, 2:17]
    assert np.array_equal(View(decode="rgb").decoder()(data, sidecar), expected)
    resized = np.asarray(Image.fromarray(expected).resize((6, 12), Image.Resampling.BILINEAR))
    assert np.array_equal(View(decode="rgb", size=(12, 6)).decoder()(data, sidecar), resized)
    planes = torch.from_numpy(resized.copy()).permute(2, 0, 1).to(torch.float32)
    scale = torch.tensor([1 / (255 * one) for one in IMAGENET_STD]).reshape(3, 1, 1)
    shift = torch.tensor([-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]).reshape(3, 1, 1)
    tensor = View(decode="torch", size=(12, 6)).decoder()(data, sidecar)
    assert tensor.equal(planes * scale + shift)
    assert tensor.is_contiguous()


@pytest.mark.parametrize("size", [(256, 128), (24, 12), (5, 7)])
def test_pixels_of_the_roi_do_not_depend_on_what_lies_around_it(
    dataset: Dataset, stream_folder: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Sets with other margins, cut losslessly, give the same pixels to the last bit."""
    make_set(stream_folder.parent / "source", tmp_path / "set", city1m_options(samples_per_shard=500, margin=40))
    wide = open_dataset(tmp_path / "set")
    expected = {sample["__key__"]: sample for sample in dataset.stream(decode="rgb", size=size)}
    compared = 0
    for sample in wide.stream(decode="rgb", size=size):
        other = expected[sample["__key__"]]
        if sample["json"]["encoding"] == other["json"]["encoding"] == "lossless":
            assert np.array_equal(sample["jpg"], other["jpg"])
            compared += sample["json"]["image_size"] != other["json"]["image_size"]
    assert compared > 100


def test_an_image_that_is_not_what_its_sidecar_says() -> None:
    view = View(decode="rgb").decoder()
    sidecar = {"image_size": [20, 10], "roi": [2, 2, 5, 6]}
    whole = jpeg()
    for data in (b"GIF89a", b"", whole[:1], whole[: len(whole) // 2], whole[:-40], whole[:30] + b"\0" * 300):
        with pytest.raises(SpecError, match="cannot be decoded"):
            view(data, sidecar)
    for other in ([10, 20], [19, 10], [20, 9], [21, 11]):
        with pytest.raises(SpecError, match="its sidecar says"):
            view(whole, sidecar | {"image_size": other})


@pytest.mark.parametrize("scans", [501, 4000])
def test_a_scan_bomb_is_not_decoded(scans: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image, "frombytes")
    with pytest.raises(SpecError, match="cannot be decoded: more than 500 scans"):
        View(decode="rgb").decoder()(many_scans(scans, (20, 10)), {"image_size": [20, 10], "roi": [2, 1, 15, 8]})


@pytest.mark.parametrize("roi", [[0, 0, 21, 10], [0, 0, 13000, 13000], [-1, 0, 5, 5], [3, 3, 0, 5], [0, 0, 1, 2**70]])
def test_a_roi_beyond_its_image_is_not_cut(roi: list[int]) -> None:
    for size in (None, (6, 12)):
        with pytest.raises(SpecError, match="does not lie in the image"):
            View(decode="rgb", size=size).decoder()(jpeg(), {"image_size": [20, 10], "roi": roi})


def test_undecodable_images_are_samples_that_cannot_be_read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("broken data stream")

    monkeypatch.setattr(Image, "frombytes", broken)
    with pytest.raises(SampleError, match="broken data stream"):
        next(iter(dataset.stream(decode="rgb")))
    stream = dataset.stream(decode="rgb", on_error="skip")
    assert list(stream) == []
    assert stream.skipped == len(stream.source.selection.rows)


@pytest.mark.parametrize(
    "sidecar", [{}, {"image_size": [20, 10]}, {"image_size": [20, 10], "roi": 3}, {"image_size": 20, "roi": None}]
)
def test_a_sidecar_that_does_not_say_where_to_cut(sidecar: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="sidecar"):
        View(decode="rgb").decoder()(jpeg(), sidecar)


def test_frames_need_sidecars_as_the_format_says(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    crop = next(iter(dataset.stream()))
    for name, value in (("frame", None), ("person_id", "x"), ("person_id", 2**70), ("box", [1.0]), ("depth", None)):
        sidecar = {key: entry for key, entry in crop["json"].items() if key != name}
        if value is not None:
            sidecar[name] = value
        with pytest.raises(SpecError, match="not as the format says"):
            unit_dict(CITY1M, [crop | {"json": sidecar}])

    def hostile(variant: Variant, crops: Any) -> dict[str, Any]:
        first = crops[0] | {"json": crops[0]["json"] | {"box": [1.0]}}
        return unit_dict(variant, [first, *crops[1:]])

    monkeypatch.setattr(decoding, "unit_dict", hostile)
    with pytest.raises(SampleError, match=r"sample \w+: a sidecar of the frame"):
        next(iter(dataset.stream(by="frame")))
    stream = dataset.stream(by="frame", on_error="skip")
    assert list(stream) == []
    assert stream.skipped == len(list(dataset.stream()))


@pytest.mark.parametrize(
    "options",
    [
        {"size": (2, 3, 4)},
        {"size": 256},
        {"size": (0, 5)},
        {"size": (5.5, 5)},
        {"mean": [0.5]},
        {"std": [0.2, 0.2]},
        {"std": [0, 0, 0]},
    ],
)
def test_views_that_make_no_sense_are_refused_at_once(dataset: Dataset, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        dataset.stream(decode="torch", **options)
