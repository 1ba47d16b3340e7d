"""Slots: arrays come out as they went in, in the right batch, and stay as they are while anybody holds them."""

import itertools
import os
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from shards_spec.images import ImageError, decode_jpeg
from shards_spec.stream import Dataset, transfer, views
from shards_spec.stream.pipeline import Stream
from shards_spec.stream.slots import Column, ImageBuffer, SlotArrays, Slots


def arrays(value: int, count: int = 3) -> dict[str, list[np.ndarray]]:
    return {
        "a": [np.full((2, 5), (value + n) % 256, np.uint8) for n in range(count)],
        "b": [np.ones(7, np.float32)] * count,
    }


def put(slots: Slots, value: int) -> SlotArrays:
    placement = slots.put(arrays(value))
    assert placement is not None
    return placement


def test_what_is_put_is_taken() -> None:
    slots = Slots(2)
    for value in range(5):
        taken = slots.take(put(slots, value))
        assert taken["a"][:, 0, 0].tolist() == [value, value + 1, value + 2]
        assert taken["b"].shape == (3, 7)


def test_a_slot_that_is_not_free_or_too_small_is_not_used() -> None:
    slots = Slots(2)
    first, second = put(slots, 1), put(slots, 2)
    assert slots.put(arrays(3)) is None
    assert slots.take(first)["a"][0, 0, 0] == 1
    assert slots.put(arrays(4, count=5000)) is None
    put(slots, 5)
    held = slots.take(second)
    slots.clear()  # what was put last is not asked for any more
    put(slots, 6)
    assert slots.put(arrays(7)) is None
    assert held["a"][0, 0, 0] == 2


def test_a_slot_is_free_when_no_part_of_it_is_held() -> None:
    slots = Slots(1)
    taken = slots.take(put(slots, 1))
    part = torch.from_numpy(taken["a"])[1:].view(-1)
    assert slots.put(arrays(2)) is None
    del taken
    assert slots.put(arrays(2)) is None
    assert part.tolist() == [2] * 10 + [3] * 10
    del part
    put(slots, 2)


def test_a_forked_process_frees_no_slot() -> None:
    slots = Slots(1)
    taken = slots.take(put(slots, 1))
    child = os.fork()
    if child == 0:
        del taken
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert slots.put(arrays(2)) is None
    del taken
    put(slots, 2)


def drawn(image_buffer: ImageBuffer, values: list[int]) -> list[npt.NDArray[Any]]:
    images = []
    for value in values:
        image = image_buffer.next_image()
        images.append(np.empty((2, 3), np.uint8) if image is None else image)
        images[-1][...] = value
    return images


def test_images_are_sent_from_where_they_were_drawn() -> None:
    slots = Slots(2)
    image_buffer = ImageBuffer(slots, Column("x", "|u1", (4, 2, 3), 0), list)
    for values in ([1, 2, 3, 4], [5, 6]):
        placement = image_buffer.send(drawn(image_buffer, values))
        assert placement is not None
        taken = slots.take(placement)["x"]
        assert taken.shape == (len(values), 2, 3)
        assert taken[:, 0, 0].tolist() == values
    assert image_buffer.send(drawn(image_buffer, [7])) is not None
    assert image_buffer.send(drawn(image_buffer, [8])) is None  # no slot is free: one is held and one on its way


def test_images_that_do_not_lie_one_behind_the_other_stay_where_they_are() -> None:
    slots = Slots(2)
    image_buffer = ImageBuffer(slots, Column("x", "|u1", (4, 2, 3), 0), list)
    images = drawn(image_buffer, [1, 2, 3])
    assert image_buffer.send([images[0], images[2]]) is None  # one was left out
    following = drawn(image_buffer, [4, 5])
    assert image_buffer.send(following[:1]) is None  # one is of the next batch
    assert image_buffer.next_image() is None  # both slots are held
    assert [int(image[0, 0]) for image in (*images, *following)] == [1, 2, 3, 4, 5]
    del images
    image_buffer.send([])
    following += drawn(image_buffer, [6, 7])
    assert image_buffer.send(following[1:3]) is None  # as many as were drawn, but not the same
    assert int(following[1][0, 0]) == 5
    del following
    assert image_buffer.send(drawn(image_buffer, [7, 8, 9, 10])) is not None


def equal(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return list(ours) == list(theirs) and all(
        ours[name].dtype == theirs[name].dtype and ours[name].equal(theirs[name])
        if isinstance(theirs[name], torch.Tensor)
        else ours[name] == theirs[name]
        for name in ours
    )


def doubled(sample: dict[str, Any]) -> dict[str, Any]:
    return {**sample, "jpg": sample["jpg"] * 2}


def make_stream(dataset: Dataset, kind: str, **options: Any) -> Stream:
    stream = dataset.stream(seed=8, decode="rgb" if kind == "rgb" else "torch", size=(40, 20), **options)
    if kind == "mapped":
        return stream.map(doubled)  # type: ignore[no-any-return]
    return stream.identity_batches(3, 2) if kind == "identities" else stream


@pytest.mark.parametrize("kind", ["rgb", "torch", "mapped", "identities"])
@pytest.mark.parametrize("options", [{}, {"persistent_workers": True}, {"multiprocessing_context": "spawn"}])
def test_batches_through_slots_are_the_batches(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], kind: str
) -> None:
    monkeypatch.setattr(transfer, "_PLACED_BYTES", 1)
    inline = list(make_stream(dataset, kind).loader(6))
    stream = make_stream(dataset, kind)
    loader = stream.loader(6, num_workers=1, **options)
    broken_off = list(itertools.islice(iter(loader), 2))  # its other batches are never taken
    stream.set_epoch(0)
    # Some are let go, so that their slots are used again; of others, only a part is held.
    held: list[Any] = []
    for number, batch in enumerate(loader):
        assert equal(batch, inline[number])
        held.append(batch if number % 5 == 0 else batch["jpg"][1] if number % 5 == 1 else None)
    assert len(held) == len(inline)
    assert all(equal(ours, theirs) for ours, theirs in zip(broken_off, inline, strict=False))
    for ours, theirs in zip(held, inline, strict=True):
        if ours is not None:
            assert equal(ours, theirs) if isinstance(ours, dict) else ours.equal(theirs["jpg"][1])
    held[0]["jpg"] += 1  # they are the caller's
    held[0]["label"] += 1


@pytest.mark.parametrize("persistent", [False, True])
def test_bytes_go_through_slots_too(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, persistent: bool) -> None:
    taken = []

    def noted(slots: Slots, placement: SlotArrays) -> dict[str, Any]:
        taken.append(placement)
        return take(slots, placement)

    take = Slots.take
    monkeypatch.setattr(Slots, "take", noted)
    monkeypatch.setattr(transfer, "_PLACED_BYTES", 1)
    inline = list(dataset.stream(seed=8).loader(6))
    assert not taken
    batches = list(dataset.stream(seed=8).loader(6, num_workers=1, persistent_workers=persistent))
    assert len(taken) > len(batches) / 2  # those that are larger than a slot go another way
    assert len(batches) == len(inline)
    assert all(equal(ours, theirs) for ours, theirs in zip(batches, inline, strict=True))
    assert {type(image) for batch in batches for image in batch["jpg"]} == {bytes}
    batches[0]["label"] += 1


@pytest.mark.parametrize("kind", ["rgb", "torch", "identities"])
def test_images_are_decoded_where_they_are_handed_over(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def copied(*_: object) -> None:
        raise AssertionError("copied to a slot")

    monkeypatch.setattr(Slots, "put", copied)
    loader = make_stream(dataset, kind).loader(6, num_workers=2)
    assert sum(1 for _ in loader) == len(loader)


@pytest.mark.parametrize("kind", ["torch", "identities"])
def test_batches_that_lack_samples_are_the_batches(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def broken(data: bytes) -> Image.Image:
        if crc32(data) % 7 == 0:
            raise ImageError("broken data stream")
        return decode_jpeg(data)

    monkeypatch.setattr(views, "decode_jpeg", broken)
    inline = list(make_stream(dataset, kind, on_error="skip").loader(6))
    assert len(inline) > 3
    if kind == "torch":
        assert {len(batch["jpg"]) for batch in inline} > {5, 6}
    batches = list(make_stream(dataset, kind, on_error="skip").loader(6, num_workers=1))
    assert len(batches) == len(inline)
    assert all(equal(ours, theirs) for ours, theirs in zip(batches, inline, strict=True))


def in_bfloat16(sample: dict[str, Any]) -> dict[str, Any]:
    return {**sample, "jpg": sample["jpg"].bfloat16()}


def test_types_that_numpy_does_not_have(dataset: Dataset) -> None:
    stream = dataset.stream(decode="torch", size=(256, 128))
    ours = next(iter(stream.map(in_bfloat16).loader(6, num_workers=1)))
    stream.set_epoch(0)
    assert ours["jpg"].equal(next(iter(stream.loader(6)))["jpg"].bfloat16())
