"""The reader against its peers: bytes only, decoded batches, memory over epochs and at City1M's number of rows.

Every comparison is over the same samples in one run, page cache warm, peers in turn, the best of several rounds each.
"""

import argparse
import gc
import itertools
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import webdataset

from pipeline.demo import make_demo
from shards_spec.stream import Dataset, open_dataset
from shards_spec.stream.views import IMAGENET_MEAN, IMAGENET_STD
from tests.benchmarks.make_scale_set import SHARD_SAMPLES, make_scale_set
from tests.benchmarks.stream_peers import BATCH, SIZE, WORKERS, Peer, parse, peers, resized
from tests.support.options import city1m_options
from tests.support.sets import make_set

NODE = 64
"""Reading processes of a node, as the promise counts."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Speed(NamedTuple):
    """The best of some rounds."""

    rate: float
    """Samples a second."""
    cost: float
    """Seconds of CPU time a sample, of all processes: what others on the machine take of it changes this less."""


def cpu_seconds() -> float:
    """CPU time of this process and of its children that live."""
    stats = [Path(f"/proc/{child.pid}/stat").read_text() for child in multiprocessing.active_children()]
    ticks = sum(int(ticks) for stat in stats for ticks in stat.rpartition(")")[2].split()[11:13])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def compare(rounds: int, runs: Mapping[str, Callable[[], int]]) -> dict[str, Speed]:
    """The speed of each run, which returns how many samples it read; each has its turn in every round."""
    speeds = dict.fromkeys(runs, Speed(0.0, float("inf")))
    for _ in range(rounds):
        for name, run in runs.items():
            begin, cpu_begin = time.perf_counter(), cpu_seconds()
            samples = run()
            rate, cost = samples / (time.perf_counter() - begin), (cpu_seconds() - cpu_begin) / samples
            speeds[name] = Speed(max(speeds[name].rate, rate), min(speeds[name].cost, cost))
    return speeds


def bench_bytes(dataset: Dataset, others: Sequence[Peer], rounds: int) -> None:
    """Bytes only, one process: this reader checks every member's CRC-32 and parses the sidecars, its peers need not."""
    streams = {"reid-shards": dataset.stream(shuffle=False), "reid-shards, shuffled": dataset.stream()}
    runs: dict[str, Callable[[], int]] = {
        name: lambda stream=stream: sum(1 for _ in stream)  # type: ignore[misc]
        for name, stream in streams.items()
    }
    for peer in others:
        runs[peer.name] = lambda peer=peer: sum(1 for _ in peer.samples())  # type: ignore[misc]
        runs[f"{peer.name}, parsed"] = lambda peer=peer: sum(  # type: ignore[misc]
            1 for sample in peer.samples() if parse(peer.sidecar(sample))
        )
    speeds = compare(rounds, runs)
    ours = speeds["reid-shards"]
    for name, speed in speeds.items():
        say(f"bytes only, one process   {name:26} {speed.rate:9,.0f} samples/s   {ours.rate / speed.rate:5.2f}x")


_held: list[tuple[bytes, Any]] = []
"""What the bare loops decode: images and regions of interest."""


def _hold(samples: list[tuple[bytes, Any]]) -> None:
    torch.set_num_threads(1)
    _held[:] = samples


def _decode(part: int) -> None:
    """The bare loop: decode, cut, resize, and nothing else."""
    for data, roi in _held[part::WORKERS]:
        np.asarray(resized(data, roi))


def _normalise(part: int) -> None:
    """The bare loop that also makes float32 of it, the fastest way that PyTorch and Pillow have."""
    scale = torch.tensor([1 / (255 * one) for one in IMAGENET_STD]).reshape(3, 1, 1)
    shift = torch.tensor([-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]).reshape(3, 1, 1)
    for data, roi in _held[part::WORKERS]:
        planes = bytearray().join(channel.tobytes() for channel in resized(data, roi).split())
        pixels = torch.frombuffer(planes, dtype=torch.uint8).view(3, *SIZE)
        pixels.to(torch.float32).mul_(scale).add_(shift)


def _all(pool: Pool, decode: Callable[[int], None], count: int) -> int:
    pool.map(decode, range(WORKERS), chunksize=1)
    return count


def bench_decoded(dataset: Dataset, others: Sequence[Peer], rounds: int) -> None:
    """256x128 batches with two workers, against two processes that decode what they hold in memory."""
    held = [(sample["jpg"], sample["json"]["roi"]) for sample in dataset.stream()]
    with multiprocessing.get_context("fork").Pool(WORKERS, _hold, (held,)) as pool:
        runs: dict[str, Callable[[], int]] = {
            "bare decode loop": partial(_all, pool, _decode, len(held)),
            "bare loop, normalising": partial(_all, pool, _normalise, len(held)),
        }
        for decode in ("rgb", "torch"):
            loader = dataset.stream(decode=decode, size=SIZE).loader(BATCH, WORKERS, persistent_workers=True)
            runs[f"reid-shards, {decode}"] = lambda loader=loader: sum(  # type: ignore[misc]
                len(batch["label"]) for batch in loader
            )
        for peer in others:
            runs[peer.name] = lambda peer=peer: sum(len(batch) for batch in peer.loader)  # type: ignore[misc]
        speeds = compare(rounds, runs)
    for name, speed in speeds.items():
        bare = "bare loop, normalising" if name == "reid-shards, torch" else "bare decode loop"
        say(
            f"decoded 256x128, 2 cores  {name:26} {speed.rate:9,.0f} samples/s   "
            f"{speed.rate / speeds[bare].rate:5.2f} of the {bare}, {speeds[bare].cost / speed.cost:5.2f} by CPU time"
        )


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
    order = source.order.of_epoch(0)
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
            f"groups in {ranks} ranks' {whole:6.1f}; in {steps} batches of a rank {epoch_part:,}; "
            f"a group's crops lie {_spread(take(0, order.count), groups):.0%} as far apart as by chance"
        )


def _spread(rows: Any, groups: Any) -> float:
    """How far apart the crops of a group are in an epoch: their standard deviation over that of uniform positions."""
    places = np.empty(len(rows))
    places[rows] = np.arange(len(rows)) / len(rows)
    of_group = np.argsort(groups, kind="stable")[: len(rows)]
    bounds = np.flatnonzero(np.diff(groups[of_group])) + 1
    return float(np.mean([part.std() for part in np.split(places[of_group], bounds)[::50]]) * 12**0.5)


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
            make_demo(folder / "source", images=200, workers=WORKERS)
            make_set(folder / "source", source, city1m_options())
        make_scale_set(source, folder / "two", WORKERS)  # webdataset shares its work by shard
        make_scale_set(source, folder / "scale", options.shards)
        bench_scale(folder / "scale")
        bench_mixing(open_dataset(folder / "scale"))
        dataset = open_dataset(folder / "two")
        bench_traffic(dataset)
        bench_epochs(dataset)
        found = list(peers(dataset, folder / "peers"))
        others = [peer for peer in found if isinstance(peer, Peer)]
        for missing in found:
            if isinstance(missing, str):
                say(f"not compared              {missing}")
        bench_bytes(dataset, others, options.rounds)
        bench_decoded(dataset, others, options.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
