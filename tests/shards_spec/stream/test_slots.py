"""Slots: arrays come out as they went in, and never in the wrong batch."""

import itertools
from typing import Any

import numpy as np
import pytest

from shards_spec.stream import Dataset
from shards_spec.stream import loader as loader_module
from shards_spec.stream.slots import Slots


def arrays(value: int, count: int = 3) -> dict[str, list[np.ndarray]]:
    return {
        "a": [np.full((2, 5), (value + n) % 256, np.uint8) for n in range(count)],
        "b": [np.ones(7, np.float32)] * count,
    }


def test_what_is_put_is_taken() -> None:
    slots = Slots(2)
    for value in range(5):
        placement = slots.put(arrays(value))
        assert placement is not None
        taken = slots.take(placement)
        assert taken["a"][:, 0, 0].tolist() == [value, value + 1, value + 2]
        assert taken["b"].shape == (3, 7)


def test_a_slot_that_is_not_free_or_too_small_is_not_used() -> None:
    slots = Slots(2)
    first, second = slots.put(arrays(1)), slots.put(arrays(2))
    assert first is not None
    assert second is not None
    assert slots.put(arrays(3)) is None
    assert slots.take(first)["a"][0, 0, 0] == 1
    assert slots.put(arrays(4, count=5000)) is None
    assert slots.put(arrays(5)) is not None
    slots.clear()
    assert slots.put(arrays(6)) is not None


@pytest.mark.parametrize("options", [{}, {"persistent_workers": True}, {"multiprocessing_context": "spawn"}])
def test_batches_through_slots_are_the_batches(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(loader_module, "_PLACED_BYTES", 1)
    stream = dataset.stream(seed=8, decode="rgb", size=(40, 20))
    inline = list(dataset.stream(seed=8, decode="rgb", size=(40, 20)).loader(6))
    loader = stream.loader(6, num_workers=1, **options)
    list(itertools.islice(iter(loader), 2))  # broken off: its other batches are never taken
    stream.set_epoch(0)
    held = list(loader)
    assert len(held) == len(inline)
    for ours, theirs in zip(held, inline, strict=True):
        assert ours["__key__"] == theirs["__key__"]
        assert list(ours) == list(theirs)
        assert ours["jpg"].equal(theirs["jpg"])
