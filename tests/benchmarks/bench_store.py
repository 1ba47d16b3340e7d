"""`convert` from and to an S3 server on this machine against local files: the loss, and where it goes.

The server (Ceph's radosgw) runs on the cores that it serves, so its own CPU time is a part of what an object store
costs here; elsewhere it would be another machine's. Each pair of places in turn, once Ray is up, medians.
"""

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.cluster.engine import run_shards
from pipeline.cluster.session import RaySession
from pipeline.demo import make_demo
from pipeline.run.driver import plan_conversion
from pipeline.run.finish import finish
from pipeline.shards.record import ShardRecord
from pipeline.sources.city1m import CITY1M
from shards_spec.storage import open_store
from tests.benchmarks.bench_convert import timed
from tests.support.ceph import missing_programs, run_ceph
from tests.support.options import city1m_options
from tests.support.processes import descendants

SERVERS = {"radosgw", "ceph-osd", "ceph-mon"}
OPTIONS = city1m_options(samples_per_shard=1000)
CONSOLE = Console(highlight=False, width=120)


def cpu_seconds() -> dict[str, float]:
    """CPU time so far of this process and those below it, by "server" and "ours"."""
    spent: dict[str, float] = defaultdict(float)
    for process in [os.getpid(), *(process for process, _ in descendants(os.getpid()))]:
        try:
            text = Path(f"/proc/{process}/stat").read_text()
        except FileNotFoundError:
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        user, system = rest.split()[11:13]
        spent["server" if name in SERVERS else "ours"] += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return spent


def convert(session: RaySession, source_url: str, out_url: str) -> dict[str, float]:
    """Convert; returns seconds: wall time, CPU time, and of all shards, waiting for reads and writing; and requests."""
    records: dict[tuple[str, int], ShardRecord] = {}

    def run() -> None:
        plan = plan_conversion(CITY1M, source_url, OPTIONS, lambda _: None)
        for event in run_shards(session, plan, plan.shards, source_url, out_url):
            if isinstance(event, ShardRecord):
                records[event.cell, event.number] = event
        finish(open_store(out_url), plan, records)

    before = cpu_seconds()
    wall = timed(run)
    after = cpu_seconds()
    return {
        "wall": wall,
        "ours": after["ours"] - before["ours"],
        "server": after["server"] - before["server"],
        "read": sum(record.seconds["read"] for record in records.values()),
        "write": sum(record.seconds["write"] for record in records.values()),
        "requests": sum(record.requests for record in records.values()),
        "excess": sum(r.bytes_read for r in records.values()) / sum(r.bytes_used for r in records.values()),
    }


def copy_source(source: Path, url: str) -> None:
    """Put the archives and the label files into a store."""
    store = open_store(url)
    for file in source.iterdir():
        with store.open_write(file.name) as target:
            target.write(file.read_bytes())


def main(arguments: Sequence[str] = ()) -> None:
    """Print a line for each pair of places."""
    parser = argparse.ArgumentParser(prog="bench store", description=__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="frames of the demo set to convert")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="each pair of places in turn; medians count")
    options = parser.parse_args(list(arguments))
    if missing_programs():
        CONSOLE.print(
            f"store: left out, as {', '.join(missing_programs())} are not installed (Debian: radosgw, ceph-*)"
        )
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, run_ceph() as ceph:
        os.environ.update(ceph.environment)
        source, bucket = Path(folder, "source"), f"s3://{ceph.make_bucket()}"
        make_demo(source, images=options.frames, workers=options.workers)
        copy_source(source, f"{bucket}/source")
        sources = {"files": str(source), "S3": f"{bucket}/source"}
        outs = {"files": folder, "S3": bucket}
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        with RaySession(options.workers, None) as session:
            session.wait()
            convert(session, str(source), f"{folder}/warm")  # starts the worker processes
            for number in range(options.rounds):
                for source_name, source_url in sources.items():
                    for out_name, out_url in outs.items():
                        found[f"{source_name} to {out_name}"].append(
                            convert(session, source_url, f"{out_url}/{source_name}-{number}")
                        )
    columns = (
        "wall, s",
        "of files'",
        "CPU, ours",
        "the server's",
        "waiting for reads",
        "writing",
        "requests",
        "read/used",
    )
    title = f"{options.frames} frames, {options.workers} workers; ms a frame but for wall and requests"
    table = Table("from and to", *columns, title=title)
    base = statistics.median(run["wall"] for run in found["files to files"])
    for name, runs in found.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        parts = [f"{1000 * median[key] / options.frames:.2f}" for key in ("ours", "server", "read", "write")]
        ratio = f"{median['wall'] / base:.2f}x"
        table.add_row(
            name, f"{median['wall']:.2f}", ratio, *parts, f"{median['requests']:.0f}", f"{median['excess']:.3f}"
        )
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
