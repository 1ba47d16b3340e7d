"""The reader from a store that is far away: Ceph on this machine, behind a relay that adds to each round trip.

Each reader runs in a process of its own, one after another, through the same relay. The store and the relay take
processor time from them that they would not take elsewhere. Numbers of reads at once that are fixed show what the
measured number is worth; 8 is what the reader once had.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from pipeline.demo import make_demo
from shards_spec.storage import open_store
from tests.benchmarks.far_reader import Job
from tests.benchmarks.make_scale_set import make_scale_set
from tests.support.ceph import missing_programs, run_ceph
from tests.support.options import city1m_options
from tests.support.relay import run_relay
from tests.support.sets import make_set

CONSOLE = Console(highlight=False, width=120)


def upload(folder: Path, url: str) -> None:
    """Put the files of a folder into a store."""
    store = open_store(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with store.open_write(path.relative_to(folder).as_posix()) as target:
                target.write(path.read_bytes())


def run(job: Job) -> dict[str, float] | None:
    """Read in a process of its own; None if a peer fails."""
    command = [sys.executable, "-m", "tests.benchmarks.far_reader", msgspec.json.encode(job).decode()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and job.reader == "litdata":
        CONSOLE.print(done.stderr.splitlines()[-1], markup=False)
        return None
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def jobs(url: str, peer_url: str, folder: Path, seconds: float) -> Iterator[tuple[str, Job]]:
    """Yield the readers to compare."""
    for reader in ("plain", "identity"):
        for at_once in (8, 32, 128, None):
            name = "as measured" if at_once is None else f"{at_once} at once"
            yield f"{reader}, {name}", Job(url=url, reader=reader, seconds=seconds, at_once=at_once)
        cache = str(folder / f"cache-{reader}-{abs(hash(url))}")
        yield f"{reader}, cache warm", Job(url=url, reader=reader, seconds=seconds, cache=cache, warm=True)
    yield "webdataset over HTTP", Job(url=url, reader="webdataset", seconds=seconds)
    if importlib.util.find_spec("litdata"):
        copies = tempfile.mkdtemp(dir=folder)
        yield "litdata", Job(url=peer_url, reader="litdata", seconds=seconds, folder=copies)
    else:
        CONSOLE.print("not compared: litdata is not installed; pip install litdata==0.2.76 to compare")


def make_litdata(source: Path, folder: Path) -> None:
    """Write the samples in litdata's own format."""
    code = (
        "import sys; import litdata; from tests.benchmarks.stream_peers import _members\n"
        "if __name__ == '__main__': litdata.optimize(fn=_members, inputs=sys.argv[2:], output_dir=sys.argv[1], "
        "chunk_bytes='64MB', num_workers=1, start_method='fork', verbose=False)"
    )
    shards = [str(path) for path in sorted(source.rglob("*.tar"))]
    subprocess.run([sys.executable, "-c", code, str(folder), *shards], check=True, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str] = ()) -> None:
    """Print a table for each round trip."""
    parser = argparse.ArgumentParser(prog="bench far", description=__doc__)
    parser.add_argument("--round-trips", type=float, nargs="+", default=[50.0, 1.0], help="milliseconds")
    parser.add_argument("--shards", type=int, default=4, help="shards of 10,000 samples")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest time of a reader")
    options = parser.parse_args(list(arguments))
    if missing_programs():
        CONSOLE.print(f"far: left out, as {', '.join(missing_programs())} are not installed (Debian: radosgw, ceph-*)")
        return
    with tempfile.TemporaryDirectory(prefix="bench-far") as name, run_ceph() as ceph:
        folder = Path(name)
        os.environ.update(
            ceph.environment, XDG_CACHE_HOME=str(folder / "indexes"), PYTHONPATH=os.pathsep.join(sys.path)
        )
        make_demo(folder / "source", images=200, workers=2)
        make_set(folder / "source", folder / "small", city1m_options())
        make_scale_set(folder / "small", folder / "set", options.shards)
        bucket = ceph.make_bucket()
        upload(folder / "set", f"s3://{bucket}/set")
        if importlib.util.find_spec("litdata"):
            make_litdata(folder / "set", folder / "litdata")
            upload(folder / "litdata", f"s3://{bucket}/litdata")
        for round_trip in options.round_trips:
            with run_relay(ceph.endpoint, round_trip / 1000) as endpoint:
                urls = [f"s3://{bucket}/{what}?endpoint={endpoint}" for what in ("set", "litdata")]
                _table(f"a store {round_trip:g} ms away", jobs(urls[0], urls[1], folder, options.seconds))


def _table(title: str, readers: Iterator[tuple[str, Job]]) -> None:
    columns = ("samples/s", "first batch, s", "longest pause, s", "CPU, us a sample", "own memory, MiB")
    table = Table("reader, one process", *columns, title=title)
    for name, job in readers:
        found = run(job)
        if found is None:
            table.add_row(name, "failed")
            continue
        table.add_row(
            name,
            f"{found['rate']:,.0f}",
            f"{found['first']:.2f}",
            f"{found['pause']:.2f}",
            f"{found['cpu']:.0f}",
            f"{found['memory']:.0f}",
        )
    CONSOLE.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
