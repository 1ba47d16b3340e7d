"""The reader against its peers: bytes only, decoded batches, memory over epochs and at City1M's number of rows.

Every comparison is over the same shards in one run, page cache warm, peers in turn, the best of several rounds each.
"""

import argparse
import gc
import io
import itertools
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import webdataset
from PIL import Image

from pipeline.demo import make_demo
from pipeline.options import Options
from shards_spec.stream import Dataset, open_dataset
from tests.benchmarks.make_scale_set import SHARD_SAMPLES, make_scale_set
from tests.support.sets import make_set

SIZE = (256, 128)
WORKERS = 2
NODE = 64
"""Reading processes of a node, as the promise counts."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def best(rounds: int, *runs: Callable[[], int]) -> list[float]:
    """Samples a second of each, the best of some rounds in which each has its turn."""
    rates = [0.0] * len(runs)
    for _ in range(rounds):
        for place, run in enumerate(runs):
            begin = time.perf_counter()
            samples = run()
            rates[place] = max(rates[place], samples / (time.perf_counter() - begin))
    return rates


def bench_bytes(dataset: Dataset, rounds: int) -> None:
    """Bytes only, one process."""
    stream = dataset.stream()
    urls = dataset.urls()
    runs = {
        "reid-shards, shuffled": lambda: sum(1 for _ in stream),
        "webdataset": lambda: sum(1 for _ in webdataset.WebDataset(urls, shardshuffle=False)),
        "webdataset, json decoded": lambda: sum(
            1 for _ in webdataset.WebDataset(urls, shardshuffle=False).decode(only=["json"])
        ),
    }
    rates = best(rounds, *runs.values())
    for name, rate in zip(runs, rates, strict=True):
        say(f"bytes only, one process   {name:26} {rate:9,.0f} samples/s   {rates[0] / rate:5.2f}x")


def _decode(samples: Sequence[tuple[bytes, Sequence[int]]]) -> int:
    """The bare loop: decode, cut, resize, and nothing else."""
    for data, (left, top, width, height) in samples:
        with Image.open(io.BytesIO(data)) as image:
            box = (left, top, left + width, top + height)
            np.asarray(image.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR, box))
    return len(samples)


def bench_decoded(dataset: Dataset, rounds: int) -> None:
    """256x128 batches of 64 with two workers, against two processes that decode what they hold in memory."""
    held = [(sample["jpg"], sample["json"]["roi"]) for sample in dataset.stream()]
    context = multiprocessing.get_context("fork")
    loaders = {
        decode: dataset.stream(decode=decode, size=SIZE).loader(64, WORKERS, persistent_workers=True)
        for decode in ("rgb", "torch")
    }
    for loader in loaders.values():  # starting the workers is no part of a steady state
        next(iter(loader))

    def bare() -> int:
        processes = [context.Process(target=_decode, args=(held[place::WORKERS],)) for place in range(WORKERS)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return len(held)

    rates = best(
        rounds,
        bare,
        *(lambda loader=loader: sum(len(batch["label"]) for batch in loader) for loader in loaders.values()),
    )
    for name, rate in zip(("bare decode loop", *loaders), rates, strict=True):
        say(f"decoded 256x128, 2 cores  {name:26} {rate:9,.0f} samples/s   {rate / rates[0]:5.2f} of the bare loop")


def private_bytes() -> int:
    """What this process has written for itself alone: pages of mapped files are the node's."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty"))


def in_child(work: Callable[[], list[float]]) -> list[float]:
    """Run in a forked process of its own, and return what it measured."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        gc.freeze()
        sender.send(work())
        os._exit(0)
    measured: list[float] = receiver.recv()
    os.waitpid(child, 0)
    return measured


def _per_epoch(samples: Any, epochs: int) -> list[float]:
    begin = private_bytes()
    held = []
    for _ in range(epochs):
        for _ in samples:
            pass
        held.append((private_bytes() - begin) / 2**20)
    return held


def bench_epochs(dataset: Dataset, epochs: int = 10) -> None:
    """A worker's own memory after each of ten epochs."""
    stock = webdataset.WebDataset(dataset.urls(), shardshuffle=False)
    for name, samples in (("reid-shards", dataset.stream()), ("webdataset", stock)):
        held = in_child(lambda samples=samples: _per_epoch(samples, epochs))  # type: ignore[misc]
        say(f"memory over {epochs} epochs      {name:26} {held[0]:6.1f} MiB after one, {held[-1]:6.1f} at the end")


def _peak(samples: Iterator[Any], count: int) -> list[float]:
    begin = private_bytes()
    peak, first, started = 0, 0.0, time.perf_counter()
    for number, _ in enumerate(itertools.islice(samples, count)):
        first = first or time.perf_counter() - started
        if number % 500 == 0:
            peak = max(peak, private_bytes() - begin)
    return [peak / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, first]


def bench_scale(folder: Path, count: int = 30_000) -> None:
    """A worker's own memory, and what a node shares, at 7.4 million rows."""
    begin = time.perf_counter()
    dataset = open_dataset(folder)
    say(f"7.4M rows                 index mapped in            {time.perf_counter() - begin:6.1f} s, once a node")
    begin = time.perf_counter()
    dataset = open_dataset(folder)
    streams = {
        "samples": dataset.stream(rank=5, world_size=64),
        "identity batches 16 x 4": dataset.stream(rank=5, world_size=64).identity_batches(16, 4),
        "frames": dataset.stream(rank=5, world_size=64, by="frame"),
    }
    say(f"7.4M rows                 opened again, 3 streams    {time.perf_counter() - begin:6.1f} s")
    index = streams["samples"].source.selection.index
    mapped = index.rows.nbytes + index.keys.nbytes + streams["samples"].source.selection.rows.nbytes
    say(f"7.4M rows                 mapped, shared by a node   {mapped / 2**20:6.0f} MiB")
    for name, stream in streams.items():
        peak, resident, first = in_child(lambda stream=stream: _peak(iter(stream), count))  # type: ignore[misc]
        node = mapped / 2**20 + NODE * peak
        say(
            f"7.4M rows, a worker       {name:26} {peak:6.1f} MiB of its own at most ({resident:.0f} resident), "
            f"a node of {NODE}: {node / 1024:.2f} GiB of 5.00; first sample after {first:.2f} s"
        )
        tally = stream.source.fetcher.tally
        assert tally.read == 0, "the parent reads nothing"


def bench_mixing(dataset: Dataset, batch: int = 64, ranks: int = 8, steps: int = 200) -> None:
    """How mixed batches are, against a full shuffle of all rows."""
    source = dataset.stream().source
    index = source.selection.index
    order = source.order(0)
    groups = index.rows["identity"] // 4
    shuffled = np.random.default_rng(0).permutation(order.count)
    part = order.count // ranks
    takes: dict[str, Callable[[int, int], Any]] = {
        "reid-shards": lambda a, b: np.concatenate([chunk.units for chunk in order.chunks(a, b)]),
        "a full shuffle": lambda a, b: shuffled[a:b],
    }
    for name, take in takes.items():
        rows = np.stack([take(rank * part, rank * part + steps * batch) for rank in range(ranks)])
        rows = rows.reshape(ranks, steps, batch)
        one = np.mean([len(np.unique(groups[rows[0, step]])) for step in range(steps)])
        whole = np.mean([len(np.unique(groups[rows[:, step]])) for step in range(steps)])
        shards = np.mean([len(np.unique(rows[0, step] // SHARD_SAMPLES)) for step in range(steps)])
        epoch_part = len(np.unique(groups[rows[0]]))
        say(
            f"mixing, 7.4M rows         {name:26} groups in a batch of {batch} {one:5.1f}, shards {shards:5.1f}; "
            f"groups in {ranks} ranks' {whole:6.1f}; in {steps} batches of a rank {epoch_part:,}"
        )


def bench_traffic(dataset: Dataset) -> None:
    """Bytes read for each byte used."""
    for name, stream in (
        ("samples", dataset.stream()),
        ("identity batches 16 x 4", dataset.stream().identity_batches(16, 4)),
    ):
        samples = sum(1 for _ in stream)
        tally = stream.source.fetcher.tally
        say(f"bytes read / used         {name:26} {tally.read / tally.used:6.3f} over {samples:,} samples")


def main(arguments: Sequence[str] = ()) -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", type=Path, help="a small set, e.g. of the demo's 2,000 frames; made if not given")
    parser.add_argument("--shards", type=int, default=740, help="of the large set")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(list(arguments))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="bench-stream") as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        source = options.set
        if source is None:
            source = folder / "small"
            make_demo(folder / "source", frames=200, workers=WORKERS)
            make_set(folder / "source", source, Options())
        make_scale_set(source, folder / "three", 3)
        make_scale_set(source, folder / "scale", options.shards)
        bench_scale(folder / "scale")
        bench_mixing(open_dataset(folder / "scale"))
        dataset = open_dataset(folder / "three")
        bench_traffic(dataset)
        bench_epochs(dataset)
        bench_bytes(dataset, options.rounds)
        bench_decoded(open_dataset(source), options.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
