"""What an iteration opens or starts is closed and ended with it, however it ends."""

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from shards_spec.stream import Dataset
from tests.support.streams import key_of


def held() -> tuple[int, int, int]:
    """Descriptors, threads and worker processes."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return descriptors, threading.active_count(), len(torch.multiprocessing.active_children())


def no_key_of(sample: dict[str, Any]) -> str:
    raise KeyError(sample["__key__"])


def first(batches: Any) -> None:
    """Iterate and break off."""
    for _ in batches:
        break


def refused(batches: Any) -> None:
    with pytest.raises(KeyError):
        list(batches)


@pytest.mark.parametrize(
    ("make", "use", "times"),
    [
        (lambda stream: stream, first, 200),
        (lambda stream: stream.map(no_key_of), refused, 50),
        (lambda stream: stream.map(key_of).loader(4), first, 200),
        (lambda stream: stream.map(key_of).loader(4, 2), first, 8),
        (lambda stream: stream.map(no_key_of).loader(4, 2), refused, 4),
        (lambda stream: stream.map(key_of).loader(4, 2, persistent_workers=True), first, 40),
        (lambda stream: stream.map(key_of).loader(4, 2, persistent_workers=True), list, 20),
    ],
    ids=["stream", "stage that fails", "loader", "workers", "workers that fail", "persistent", "persistent to the end"],
)
def test_iterations_leave_nothing_behind(
    dataset: Dataset, make: Callable[[Any], Any], use: Callable[[Any], Any], times: int
) -> None:
    """Of the stream and the loader, which go on living."""
    batches = make(dataset.stream(decode="rgb", size=(64, 32)))
    use(batches)  # what is opened once, for all iterations
    gc.collect()  # what other tests left
    before = held()
    for _ in range(times):
        use(batches)
    for _ in range(100):  # what ends may take a moment
        if all(now <= then for now, then in zip(held(), before, strict=True)):
            return
        time.sleep(0.05)
    pytest.fail(f"held before {before}, after {held()}")


def pictures(batch: dict[str, Any]) -> dict[str, bytes]:
    return {key: image.numpy().tobytes() for key, image in zip(batch["__key__"], batch["jpg"], strict=True)}


def test_batches_outlive_their_loader_and_are_their_holders_own(dataset: Dataset) -> None:
    stream = dataset.stream(decode="torch", size=(128, 64))
    expected = {key: image for batch in stream.loader(16) for key, image in pictures(batch).items()}
    loader = stream.loader(16, 2, persistent_workers=True)
    for batch in loader:
        assert pictures(batch).items() <= expected.items()
        batch["jpg"].fill_(0)  # as what augments in place does
    kept = list(loader)
    list(loader)  # another epoch goes through what memory is free
    del loader
    assert {key: image for batch in kept for key, image in pictures(batch).items()} == expected
