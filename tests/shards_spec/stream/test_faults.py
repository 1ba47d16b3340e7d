"""What stock webdataset loses in silence or delivers damaged is delivered whole here, or named."""

import gc
import io
import itertools
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import webdataset

from shards_spec.storage import LocalStore
from shards_spec.stream import Dataset, SampleError, near, open_dataset
from shards_spec.stream.pipeline import Stream
from shards_spec.tar import TarFile, read_tar
from tests.support.processes import descendants


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "AGAIN_AFTER", 0.0)


def members(url: str) -> list[TarFile]:
    return list(read_tar(io.BytesIO(Path(url).read_bytes())))


def stock(urls: list[str], **options: Any) -> list[dict[str, Any]]:
    """What stock webdataset delivers, going on after errors; the files that it leaves open are closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"shardshuffle": False, "handler": webdataset.warn_and_continue, "empty_check": False} | options
        samples = list(webdataset.WebDataset(urls, **options))
        gc.collect()
    return samples


def keys(samples: Any) -> list[str]:
    return sorted(sample["__key__"] for sample in samples)


def skipping(dataset: Dataset, **options: Any) -> tuple[list[str], int]:
    stream = dataset.stream(on_error="skip", **options)
    return keys(stream), stream.skipped


def test_a_tar_cut_between_samples(dataset: Dataset, copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    everything = keys(dataset.stream())
    damaged = open_dataset(copied)
    url = damaged.urls()[0]
    inside = members(url)
    cut = len(inside) // 2 // 2 * 2
    lost = {member.name.partition(".")[0] for member in inside[cut:]}
    os.truncate(url, inside[cut].offset - 512)
    assert len(stock(damaged.urls())) == len(everything) - len(lost)  # and not a word about it
    with pytest.raises(SampleError, match=r"000000\.tar: sample .*ends at byte"):
        list(damaged.stream())
    with caplog.at_level(logging.WARNING):
        delivered, skipped = skipping(damaged)
    assert delivered == sorted(set(everything) - lost)
    assert skipped == len(lost)
    assert sum(record.getMessage().startswith("skipped: ") for record in caplog.records) == len(lost)


def test_a_damaged_tar_header_costs_nothing(dataset: Dataset, copied: Path) -> None:
    damaged = open_dataset(copied)
    url = damaged.urls()[0]
    with Path(url).open("r+b") as file:
        file.seek(members(url)[4].offset - 512 + 100)
        file.write(b"\xff" * 30)
    assert len(stock(damaged.urls())) < len(keys(dataset.stream()))
    assert keys(damaged.stream()) == keys(dataset.stream())


def test_overwritten_scan_data_is_not_delivered_as_pixels(dataset: Dataset, copied: Path) -> None:
    damaged = open_dataset(copied)
    url = damaged.urls()[0]
    victim = members(url)[6]
    key = victim.name.removesuffix(".jpg")
    with Path(url).open("r+b") as file:
        file.seek(victim.offset + len(victim.data) - 80)
        file.write(bytes(64))
    assert key in keys(stock(damaged.urls()))
    with pytest.raises(SampleError, match=f"sample {key}: the CRC-32 of its jpg"):
        list(damaged.stream())
    delivered, skipped = skipping(damaged)
    assert delivered == sorted(set(keys(dataset.stream())) - {key})
    assert skipped == 1


def test_a_damaged_sidecar_is_named(copied: Path) -> None:
    damaged = open_dataset(copied)
    url = damaged.urls()[0]
    victim = members(url)[7]
    with Path(url).open("r+b") as file:
        file.seek(victim.offset + 20)
        file.write(b"!")
    with pytest.raises(SampleError, match=f"sample {victim.name.removesuffix('.json')}: the CRC-32 of its json"):
        list(damaged.stream())


def test_stock_shardshuffle_repeats_its_order_and_this_does_not(dataset: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = webdataset.WebDataset(dataset.urls(), shardshuffle=100)
        orders = [[sample["__key__"] for sample in pipeline] for _ in range(2)]
        gc.collect()
    assert orders[0] == orders[1]
    stream = dataset.stream(seed=1)
    ours = [[sample["__key__"] for sample in stream] for _ in range(2)]
    assert ours[0] != ours[1]


def test_ranks_get_equal_numbers_of_batches_where_stocks_do_not(dataset: Dataset) -> None:
    urls = dataset.urls()
    by_shard = [-(-len(stock(urls[rank::2])) // 4) for rank in range(2)]  # as its split_by_node shares shards
    assert by_shard[0] != by_shard[1]
    for tail in ("drop", "pad"):
        ours = [
            sum(1 for _ in dataset.stream(tail=tail, rank=rank, world_size=2).batched(4, None)) for rank in range(2)
        ]
        assert ours[0] == ours[1]


def test_a_missing_shard_is_named_or_counted(dataset: Dataset, copied: Path) -> None:
    damaged = open_dataset(copied)
    url = damaged.urls()[1]
    lost = {member.name.partition(".")[0] for member in members(url)}
    Path(url).unlink()
    with pytest.raises(SampleError, match=Path(url).name):
        list(damaged.stream())
    delivered, skipped = skipping(damaged)
    assert delivered == sorted(set(keys(dataset.stream())) - lost)
    assert skipped == len(lost)


@pytest.mark.parametrize("fault", [OSError("503 Slow Down"), EOFError("cut"), None])
def test_what_fails_once_is_read_once_more(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    read_into = LocalStore.read_into
    calls = itertools.count()

    def faulty(store: LocalStore, path: str, start: int, buffer: memoryview) -> None:
        read_into(store, path, start, buffer)
        if next(calls) == 0:
            if fault is not None:
                raise fault
            buffer[:] = bytes(len(buffer))

    expected = keys(dataset.stream())
    monkeypatch.setattr(LocalStore, "read_into", faulty)
    assert keys(dataset.stream(shuffle=False)) == expected


def test_a_store_that_stays_down_is_named(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise OSError("500 Internal Server Error")

    monkeypatch.setattr(LocalStore, "read_into", down)
    with pytest.raises(SampleError, match="500 Internal Server Error"):
        next(iter(dataset.stream()))
    stream = dataset.stream(on_error="skip")
    assert list(stream) == []
    assert stream.skipped == len(stream.source.selection.rows)


def test_a_store_that_fails_is_an_error_before_all_the_rest_was_tried(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead server fails each read after minutes: the first one decides."""
    calls = itertools.count()
    over = threading.Event()
    waited = []

    def down(*_: object) -> None:
        if next(calls):
            waited.append(over.wait(30))
        raise OSError("timed out")

    monkeypatch.setattr(LocalStore, "reads_at_once", 2)  # as over a network
    monkeypatch.setattr(LocalStore, "read_into", down)
    stream = dataset.stream()
    try:
        with pytest.raises(SampleError, match="timed out: go on from the last state"):
            next(iter(stream))
    finally:
        over.set()
    assert all(waited)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_stay_the_same_around_what_is_skipped(dataset: Dataset, copied: Path, workers: int) -> None:
    damaged = open_dataset(copied)
    Path(damaged.urls()[1]).unlink()

    def batches(opened: Dataset) -> list[list[str]]:
        return [batch["__key__"] for batch in opened.stream(seed=4, on_error="skip").loader(6, workers)]

    whole, left = batches(dataset), batches(damaged)
    there = {key for batch in left for key in batch}
    assert left == [kept for kept in ([key for key in batch if key in there] for batch in whole) if kept]
    # A resumed run skips the same and nothing else.
    loader = damaged.stream(seed=4, on_error="skip").loader(6, workers)
    head = [batch["__key__"] for batch in itertools.islice(iter(loader), 3)]
    resumed = damaged.stream(seed=4, on_error="skip").loader(6, workers)
    resumed.load_state_dict(loader.state_dict())
    assert head + [batch["__key__"] for batch in resumed] == left
    assert resumed.stream.skipped > 0


def test_workers_end_with_an_error(copied: Path) -> None:
    """And at once: not when garbage is collected, where PyTorch waits for each in vain."""
    damaged = open_dataset(copied)
    Path(damaged.urls()[1]).unlink()
    failed = False
    gc.collect()
    gc.disable()
    try:
        list(damaged.stream().loader(4, 2))
    except SampleError:
        failed = True
    finally:
        gc.enable()
    assert failed
    assert not multiprocessing.active_children()


def test_ranks_that_skipped_resume_together(copied: Path) -> None:
    damaged = open_dataset(copied)
    Path(damaged.urls()[1]).unlink()
    seen, states = [], []
    for rank in range(2):
        loader = damaged.stream(on_error="skip", rank=rank, world_size=2).loader(4)
        seen += [key for batch in itertools.islice(iter(loader), 6) for key in batch["__key__"]]
        states.append(loader.state_dict())
    rest = damaged.stream(on_error="skip").loader(4)
    rest.load_state_dict(states)
    seen += [key for batch in rest for key in batch["__key__"]]
    delivered, _ = skipping(damaged)
    assert sorted(seen) == delivered


@pytest.mark.parametrize("workers", [0, 2])
def test_a_crop_of_an_identity_batch_that_cannot_be_read_is_replaced(
    dataset: Dataset, copied: Path, workers: int
) -> None:
    damaged = open_dataset(copied)
    bad = set()
    for url in damaged.urls()[:3]:
        victim = members(url)[0]
        with Path(url).open("r+b") as file:
            file.seek(victim.offset + 10)
            file.write(bytes(8))
        bad.add(victim.name.removesuffix(".jpg"))

    def loader(opened: Dataset) -> Any:
        return opened.stream(on_error="skip").identity_batches(identities=4, per_identity=2).loader(None, workers)

    whole, mended = list(loader(dataset)), loader(damaged)
    batches = list(mended)
    assert len(batches) == len(whole)
    replaced = 0
    for batch, other in zip(batches, whole, strict=True):
        assert not set(batch["__key__"]) & bad
        assert batch["label"].tolist() == other["label"].tolist()
        for place, (key, expected) in enumerate(zip(batch["__key__"], other["__key__"], strict=True)):
            if expected in bad:
                replaced += 1
                assert key == other["__key__"][place ^ 1]  # the other crop of the identity
                assert batch["__repeat__"][place]
            else:
                assert key == expected
    assert replaced == mended.stream.skipped >= len(bad)


def test_an_identity_batch_without_any_crop_of_an_identity_is_left_out(dataset: Dataset, copied: Path) -> None:
    damaged = open_dataset(copied)
    victim = members(damaged.urls()[0])[0]
    with Path(damaged.urls()[0]).open("r+b") as file:
        file.seek(victim.offset + 10)
        file.write(bytes(8))

    def batches(opened: Dataset) -> list[tuple[str, ...]]:
        stream: Stream = opened.stream(on_error="skip").identity_batches(identities=4, per_identity=1)
        return [tuple(batch["__key__"]) for batch in stream.loader()]

    key = victim.name.removesuffix(".jpg")
    assert batches(damaged) == [batch for batch in batches(dataset) if key not in batch]


def test_tars_are_never_trusted_for_sizes(copied: Path) -> None:
    """A header that claims gigabytes costs nothing: sizes come from the checked index."""
    damaged = open_dataset(copied)
    url = damaged.urls()[0]
    with tarfile.open(url) as tar:
        offset = tar.getmembers()[0].offset
    with Path(url).open("r+b") as file:
        file.seek(offset + 124)
        file.write(b"77777777777\0")
    assert keys(damaged.stream())


_CONSUMER = """
import sys
from shards_spec import open_dataset
stream = open_dataset(sys.argv[1]).stream(on_error="skip")
loader = stream.loader(2, num_workers=2, multiprocessing_context=sys.argv[2])
for batch in loader:
    print(len(batch["__key__"]), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_killing_the_training_process_leaves_no_workers(stream_folder: Path, context: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _CONSUMER, str(stream_folder), context], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == b"2\n"
        children = [str(pid) for pid, _ in descendants(process.pid)]
        assert len(children) >= 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    end = time.monotonic() + 60
    while running := [state for state in map(state_of, children) if state]:
        assert time.monotonic() < end, running
        time.sleep(0.1)


def state_of(process: str) -> str:
    """The kernel's word on a process; none where it has ended, if nobody has asked for its exit code yet."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if "State:\tZ" in status else status + Path(f"/proc/{process}/wchan").read_text()
