"""Chunks are read into memory that is used again: what was handed out stays as it was, whatever is read meanwhile."""

import gc
import itertools
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow.compute as pc
import pytest

from shards_spec.storage import LocalStore
from shards_spec.stream import Dataset, far, near, open_dataset
from shards_spec.stream import order as order_module


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sixteen samples, two chunks ahead: an epoch of the set goes through its memory many times."""
    monkeypatch.setattr(order_module, "WINDOW_BLOCKS", 2)
    monkeypatch.setattr(order_module, "PLAIN_BLOCKS", 1)
    monkeypatch.setattr(order_module, "BLOCK_UNITS", 8)
    monkeypatch.setattr(near, "READ_AHEAD_BYTES", 32 * 1024)
    monkeypatch.setattr(near, "AGAIN_AFTER", 0.0)
    monkeypatch.setattr(far, "READ_AHEAD_BYTES", 32 * 1024)
    monkeypatch.setattr(far, "KNOWN_BYTES", 64 * 1024)


@pytest.fixture(scope="module")
def truth(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """The training samples by key, from chunks that are each as large as the set."""
    return {sample["__key__"]: sample for sample in dataset.stream(shuffle=False)}


@pytest.fixture(params=["folder", "network"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the caller's own thread, or by eight that the answers keep waiting."""
    if request.param == "network":
        read_into, pauses = LocalStore.read_into, random.Random(1)

        def late(store: LocalStore, path: str, start: int, buffer: memoryview) -> None:
            time.sleep(pauses.uniform(0.0, 0.004))
            read_into(store, path, start, buffer)

        monkeypatch.setattr(LocalStore, "reads_at_once", 8)
        monkeypatch.setattr(LocalStore, "read_into", late)
    return str(request.param)


def leave(iteration: Iterator[Any], *, in_cycle: bool) -> None:
    """To the garbage collector, where it is in a cycle."""
    if in_cycle:
        cycle: list[Any] = [iteration]
        cycle.append(cycle)


def readers() -> list[str]:
    """The threads that read ahead."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("reid-shards-read")]


def wait_for_readers() -> None:
    end = time.monotonic() + 10
    while readers():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.usefixtures("reading")
def test_samples_are_kept_while_iterations_begin_and_break_off(
    dataset: Dataset, truth: dict[str, dict[str, Any]]
) -> None:
    stream, rng = dataset.stream(), random.Random(2)
    under_way: list[Iterator[Any]] = []
    held: list[dict[str, Any]] = []
    for _ in range(60):
        if not under_way or (len(under_way) < 4 and rng.random() < 0.4):
            under_way.append(iter(stream))
        held += itertools.islice(rng.choice(under_way), rng.randrange(1, 30))
        if rng.random() < 0.3:
            leave(under_way.pop(rng.randrange(len(under_way))), in_cycle=rng.random() < 0.3)
    under_way.clear()
    gc.collect()
    wait_for_readers()
    assert len(held) > 2 * len(truth)
    assert all(sample == truth[sample["__key__"]] for sample in held)


@pytest.mark.usefixtures("reading")
def test_far_apart_samples_frames_and_identity_batches(dataset: Dataset, truth: dict[str, dict[str, Any]]) -> None:
    third = pc.field("camera") == 3
    sparse = {sample["__key__"]: sample for sample in dataset.stream(where=third)}
    assert sparse.keys() == {key for key, sample in truth.items() if sample["json"]["camera"] == 3}
    assert all(sample["jpg"] == truth[key]["jpg"] for key, sample in sparse.items())
    crops = [crop for frame in dataset.stream(by="frame") for crop in zip(frame["jpg"], frame["json"], strict=True)]
    expected = [(sample["jpg"], sample["json"]) for sample in truth.values()]
    assert sorted(crops, key=repr) == sorted(expected, key=repr)
    for batch in dataset.stream().identity_batches(identities=4, per_identity=2).loader():
        for key, jpg, sidecar in zip(batch["__key__"], batch["jpg"], batch["json"], strict=True):
            assert (jpg, sidecar) == (truth[key]["jpg"], truth[key]["json"])


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("damage", ["shorter", "longer", "another", "gone"])
def test_shards_that_change_in_the_middle_of_an_epoch(
    copied: Path, truth: dict[str, dict[str, Any]], damage: str
) -> None:
    """What lay in the memory before is never taken for what could not be read."""
    changed = open_dataset(copied)
    stream = changed.stream(seed=1, on_error="skip")
    samples = iter(stream)
    handed = list(itertools.islice(samples, 20))
    for url in changed.urls():
        shard, data = Path(url), Path(url).read_bytes()
        shard.unlink()
        if damage != "gone":
            new = {"shorter": data[: len(data) // 3], "longer": bytes(512) + data, "another": data[::-1]}[damage]
            shard.write_bytes(new)
    handed += samples
    assert len(handed) + stream.skipped == len(truth)
    assert stream.skipped > len(truth) // 3
    assert all(sample == truth[sample["__key__"]] for sample in handed)


def test_samples_larger_than_a_range_and_of_no_bytes(copied: Path, truth: dict[str, dict[str, Any]]) -> None:
    """Beside others of the same chunk, and in turn: memory for the large ones serves the small ones after them."""
    stream = open_dataset(copied).stream(shuffle=False)
    selection = stream.source.selection
    index = selection.index
    records, shards = index.rows.copy(), index.find(selection.rows)[1]
    content: dict[str, bytes] = {}
    for place in range(5, len(selection.rows), 40):
        row = int(selection.rows[place])
        image = random.Random(place).randbytes(3 * 2**20) if place % 80 == 5 else b""
        with (copied / index.shards[int(shards[place])].file).open("r+b") as shard:
            shard.seek(int(records["json_offset"][row]))
            sidecar = shard.read(int(records["json_size"][row]))
            begin = shard.seek(0, 2)
            shard.write(image + sidecar)
        records["jpg_offset"][row], records["json_offset"][row] = begin, begin + len(image)
        records["jpg_size"][row], records["jpg_crc32"][row] = len(image), crc32(image)
        content[index.keys[row].decode()] = image
    index.rows = records
    handed = {sample["__key__"]: sample["jpg"] for sample in stream}
    assert handed == {key: content.get(key, sample["jpg"]) for key, sample in truth.items()}


@pytest.mark.usefixtures("reading")
def test_no_thread_stays(dataset: Dataset) -> None:
    """Also where the caller fails in the middle."""
    stream = dataset.stream()
    samples = iter(stream)
    next(samples)
    with pytest.raises(ZeroDivisionError):
        for number, _ in enumerate(samples):
            assert 1 / (3 - number) != 0.0
    del samples
    wait_for_readers()
    assert len(list(stream)) == len(stream.source.selection.rows)
