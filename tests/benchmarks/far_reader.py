"""One reader of a set in an object store, in a process of its own: prints what it measured as a line of JSON.

python -m tests.benchmarks.far_reader '{"url": ..., "reader": ..., ...}'
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

READERS: dict[str, Callable[["Job"], Iterable[Any]]] = {}
BATCH = 64


class Job(msgspec.Struct, kw_only=True):
    """What to read, and how."""

    url: str
    reader: str
    seconds: float
    """When to stop reading, if the epoch is not over before."""
    at_once: int | None = None
    """Number of reads at a time; None leaves it to the reader."""
    cache: str | None = None
    warm: bool = False
    """Whether an epoch fills the cache before the one that is measured."""
    folder: str = ""
    """For copies that the reader makes by itself."""


def reader(name: str) -> Callable[[Callable[[Job], Iterable[Any]]], Callable[[Job], Iterable[Any]]]:
    """Register a function that returns the samples of an epoch."""

    def register(function: Callable[[Job], Iterable[Any]]) -> Callable[[Job], Iterable[Any]]:
        READERS[name] = function
        return function

    return register


def _stream(job: Job) -> Any:
    from shards_spec import open_dataset  # noqa: PLC0415
    from shards_spec.storage import ObjectStore  # noqa: PLC0415
    from shards_spec.stream import fetch  # noqa: PLC0415

    if job.at_once is not None:
        ObjectStore.reads_at_once = fetch.MOST_CONNECTIONS = job.at_once
    return open_dataset(job.url, cache=job.cache).stream()


@reader("plain")
def plain(job: Job) -> Iterable[Any]:
    """Every sample, shuffled."""
    stream: Iterable[Any] = _stream(job)
    return stream


@reader("identity")
def identity(job: Job) -> Iterable[Any]:
    """Batches of 16 identities with 4 crops each."""
    stream: Iterable[Any] = _stream(job).identity_batches(16, 4)
    return stream


@reader("webdataset")
def stock(job: Job) -> Iterator[Any]:
    """webdataset over HTTP, with its own shuffle and the sidecars parsed. It reads shards one after another."""
    import obstore  # noqa: PLC0415
    import webdataset  # noqa: PLC0415

    from shards_spec import open_dataset  # noqa: PLC0415
    from shards_spec.storage.location import connect, parse_location  # noqa: PLC0415

    manifest = open_dataset(job.url).manifest
    files = [shard.file for cell in manifest.protocols["p1"]["train"] for shard in manifest.cells[cell].shards]
    client: Any = connect(parse_location(job.url), 60.0)
    signed = obstore.sign(client, "GET", files, expires_in=_hour())
    urls = [f"pipe:curl -s -f '{url}'" for url in signed]
    parse = msgspec.json.Decoder(dict[str, Any]).decode
    for sample in webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(2000):
        yield sample["jpg"], parse(sample["json"])


@reader("litdata")
def litdata(job: Job) -> Iterator[Any]:
    """litdata from chunks of its own in the same bucket, which it copies to a folder while it reads."""
    import os  # noqa: PLC0415

    import litdata as library  # type: ignore[import-not-found]  # noqa: PLC0415
    from litdata.streaming import downloader  # type: ignore[import-not-found]  # noqa: PLC0415

    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # noqa: SLF001  # it takes only https otherwise
    location, _, endpoint = job.url.partition("?endpoint=")
    os.environ["AWS_ALLOW_HTTP"] = "true"
    options = {"endpoint_url": endpoint, "region_name": os.environ["AWS_REGION"]}
    parse = msgspec.json.Decoder(dict[str, Any]).decode
    dataset = library.StreamingDataset(location, cache_dir=job.folder, shuffle=True, storage_options=options)
    for sample in dataset:
        yield sample["jpg"], parse(sample["json"])


def _hour() -> Any:
    from datetime import timedelta  # noqa: PLC0415

    return timedelta(hours=1)


def own_bytes() -> int:
    """What this process holds for itself alone."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def measure(job: Job) -> dict[str, float]:
    """Read until the epoch or the time is over, and return numbers: seconds, MiB and microseconds."""
    if job.warm:
        for _ in READERS[job.reader](job):
            pass
    samples = READERS[job.reader](job)
    held, most = own_bytes(), 0
    cpu, begin = time.process_time(), time.perf_counter()
    last, first, pause, count = begin, 0.0, 0.0, 0
    for count, _ in enumerate(itertools.chain(samples), 1):
        if count % BATCH == 0:
            now = time.perf_counter()
            first, pause, last = first or now - begin, max(pause, now - last if first else 0.0), now
            if count % (64 * BATCH) == 0:
                most = max(most, own_bytes())
            if now - begin > job.seconds:
                break
    seconds = time.perf_counter() - begin
    return {
        "rate": count / seconds,
        "first": first,
        "pause": pause,
        "cpu": 1e6 * (time.process_time() - cpu) / max(count, 1),
        "memory": max(0, most - held) / 2**20,
    }


if __name__ == "__main__":
    task = msgspec.json.decode(sys.argv[1], type=Job)
    if task.reader != "litdata":
        sys.modules["torch"] = None  # type: ignore[assignment]  # takes seconds to import
    sys.stdout.write(json.dumps(measure(task)) + "\n")
