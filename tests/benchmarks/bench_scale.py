"""A run of City1M's size on a thousand cores, without the cores: what the driver costs, and that it stays small.

The catalog is made up but of full size; planning, the driver's loop, its records and the slices that it sends are the
real ones. Shards are made by a virtual cluster on a clock of its own, which grows, loses a node and workers, and to
which tasks' arguments and results are pickled, as to Ray. The second table is a real Ray with a thousand cores that do
not exist: its tasks wait, two thousand at a time, and do nothing, so that what Ray itself costs the driver is left.
"""

import argparse
import os
import pickle
import time
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.cli.conversion import ConversionDisplay
from pipeline.cluster.engine import RayEngine
from pipeline.cluster.scheduler import Fault, Pool
from pipeline.cluster.session import RaySession
from pipeline.plan import Plan, ShardPlan, make_plan
from pipeline.run.driver import follow
from pipeline.run.events import ShardsBegun
from pipeline.shards.convert import ShardTask
from pipeline.shards.record import ShardRecord
from pipeline.shards.tasks import shard_task
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m import CITY1M
from pipeline.sources.city1m.full.frames import FRAME_SCHEMA
from shards_spec.manifest import Account, Decision
from tests.benchmarks.bench_plan import memory
from tests.support.options import city1m_options
from tests.support.virtual import VirtualCluster, fake_record

FRAMES = 1_840_000
GROUPS = 11_000
FRAME_SECONDS = 0.004
"""Of a core for a frame: reading from an object store included, so that a shard takes ten seconds."""

NODE_CORES = 16
QUIET = Console(quiet=True)


def make_catalog(frames: int) -> Catalog:
    """A catalog with City1M's numbers: groups of two to six, two cells."""
    numbers = np.arange(frames)
    groups = numbers * GROUPS // frames
    counts = 2 + groups % 5
    starts = np.concatenate([[0], np.cumsum(counts)])
    people = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
    group_ids = pc.utf8_lpad(pa.array(groups).cast("string"), 7, "0")
    stems = pc.binary_join_element_wise(
        group_ids, pa.array(counts).cast("string"), pc.utf8_lpad(pa.array(numbers).cast("string"), 7, "0"), "_"
    )
    offsets = pa.array(starts.astype(np.int32))
    values = np.random.default_rng(0).uniform(0, 1000, starts[-1] * 4)
    cells = np.where(groups % 5 < 3, "p1-train_p2-train", "p1-gallery_p2-gallery")
    columns = {
        "samples": counts,
        "name": stems,
        "group": group_ids,
        "camera": numbers % 8 + 1,
        "time": np.where(numbers % 3, "day", "night"),
        "cell": cells,
        "archive": pc.binary_join_element_wise("Images_", pa.array(counts).cast("string"), ".zip", ""),
        "entry": pc.binary_join_element_wise("Images_", stems, ".jpg", ""),
        "offset": numbers * 220_000,
        "extent": np.full(frames, 220_000),
        "compressed_size": np.full(frames, 219_900),
        "size": np.full(frames, 219_900),
        "crc32": numbers % 2**32,
        "method": np.zeros(frames),
        "person_ids": pa.ListArray.from_arrays(offsets, pa.array(people.astype(np.int32))),
        "boxes": pa.ListArray.from_arrays(pc.multiply(offsets, 4), pa.array(values)),
        "depths": pa.ListArray.from_arrays(offsets, pa.array(values[: starts[-1]])),
    }
    table = pa.table({name: pa.array(column).cast(FRAME_SCHEMA.field(name).type) for name, column in columns.items()})
    splits = {
        cell: {"p1": [cell[3:].split("_")[0]], "p2": [cell.rsplit("-", 1)[1]]} for cell in np.unique(cells).tolist()
    }
    return Catalog(
        source=CITY1M,
        rows=table.cast(FRAME_SCHEMA).combine_chunks(),
        protocols={
            p: {split: [cell for cell in splits if split in cell] for split in ("train", "gallery")}
            for p in ("p1", "p2")
        },
        cell_splits=splits,
        dataset="City1M-Full",
        archives=[],
        labels=[],
        decisions={name: Decision("made up", {}) for name in ("box_order", "identity_scope")},
        accounts={
            "lines": Account(frames, frames, 0),
            "frames": Account(frames, frames, 0),
            "members": Account(int(starts[-1]), int(starts[-1]), 0),
        },
        rejects=[],
        notes={},
        gaps=[],
    )


class PicklingCluster(VirtualCluster):
    """A virtual cluster to which the driver sends what it sends to a real one."""

    def __init__(self, plan: Plan, cores: int) -> None:
        generator = np.random.default_rng(0)

        def attempt(shard: ShardPlan, _: int) -> tuple[float, ShardRecord | Fault]:
            seconds = len(shard.rows) * FRAME_SECONDS * generator.uniform(0.9, 1.2)
            if generator.random() < 0.01:
                return seconds * generator.random(), Fault("WorkerCrashedError: gone", "lost")
            return seconds * (10 if generator.random() < 0.002 else 1), fake_record(shard, seconds)

        usual = plan.catalog.rows.num_rows * FRAME_SECONDS / cores
        # A quarter of the nodes at first; in the middle one is lost, and another comes.
        nodes = [(0.0, cores // 4), (usual / 4, cores), (usual / 2, cores - NODE_CORES), (usual * 0.6, cores)]
        super().__init__(cores // 4, attempt, nodes)
        self._plan = plan
        self.sent = 0
        """Bytes of arguments."""

    def submit(self, shard: ShardPlan) -> Hashable:
        self.sent += len(pickle.dumps(shard_task(self._plan, shard), protocol=5))
        return super().submit(shard)

    def wait(self, attempts: Any, seconds: float) -> list[tuple[Hashable, ShardRecord | Fault]]:
        return [(attempt, pickle.loads(pickle.dumps(end))) for attempt, end in super().wait(attempts, seconds)]


def simulate(plan: Plan, cores: int, table: Table) -> None:
    """One run on the virtual cluster; a row of the table."""
    engine = PicklingCluster(plan, cores)
    records: dict[tuple[str, int], ShardRecord] = {}
    before = memory("VmRSS")
    began = time.process_time()
    with ConversionDisplay(QUIET) as display:
        display(ShardsBegun(plan.catalog.rows.num_rows, 0, "frame"))
        failures = follow(Pool(plan.shards, engine).run(), records, display)
    spent = time.process_time() - began
    shards = len(plan.shards)
    assert len(records) == shards
    assert not failures
    table.add_row(
        f"{shards:,}",
        f"{cores:,}",
        f"{engine.now():.0f}",
        f"{spent / shards * 1000:.2f}",
        f"{spent / engine.now():.1%}",
        f"{engine.most_in_flight:,}",
        f"{sum(engine.attempts.values()) - shards:,}",
        f"{engine.sent / sum(engine.attempts.values()) / 1e3:.0f}",
        f"{(memory('VmRSS') - before) / 2**20:+.0f}",
    )


class IdleCluster(RayEngine):
    """Real Ray that is taken for larger than it is."""

    def __init__(self, session: RaySession, plan: Plan, cores: int) -> None:
        super().__init__(session, plan, "nowhere", "nowhere", _make_nothing)
        self._said_cores = cores

    def cores(self) -> int:
        return self._said_cores


def _make_nothing(task: ShardTask, *_: object) -> ShardRecord:
    """What a worker does here."""
    rows = np.arange(task.rows.num_rows)
    return fake_record(ShardPlan(task.cell, task.number, rows, len(rows)))


def run_ray(plan: Plan, shards: int, cores: int, table: Table) -> None:
    """One run on Ray; a row of the table."""
    records: dict[tuple[str, int], ShardRecord] = {}
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # workers import this module as well
    with (
        RaySession(2, None) as session,
        ConversionDisplay(QUIET) as display,
    ):
        session.wait()
        before = memory("VmRSS")
        wall, cpu = time.perf_counter(), time.process_time()
        display(ShardsBegun(plan.catalog.rows.num_rows, 0, "frame"))
        follow(Pool(plan.shards[:shards], IdleCluster(session, plan, cores)).run(), records, display)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert len(records) == shards
    growth = (memory("VmRSS") - before) / 2**20
    in_flight = min(shards, 2 * cores)
    table.add_row(f"{shards:,}", f"{in_flight:,}", f"{wall:.1f}", f"{cpu / shards * 1000:.2f}", f"{growth:+.0f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="bench scale", description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--cores", type=int, default=1000, help="of the virtual cluster")
    parser.add_argument("--ray-shards", type=int, default=3000, help="empty tasks to send through a real Ray; 0: none")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    catalog = make_catalog(options.frames)
    columns = (
        "shards",
        "cores",
        "s, virtual",
        "driver ms a shard",
        "driver busy",
        "in flight",
        "again",
        "kB sent",
        "MiB",
    )
    table = Table(*columns, title=f"{options.frames:,} frames on a virtual cluster")
    plans = [make_plan(catalog, city1m_options(samples_per_shard=size), {}) for size in (10_000, 1_000)]
    for plan in plans:
        simulate(plan, options.cores, table)
    console.print(table)
    if options.ray_shards:
        table = Table("tasks", "in flight", "s", "driver ms a task", "MiB", title="Ray, tasks that do nothing")
        for shards in (options.ray_shards // 10, options.ray_shards):
            run_ray(plans[1], min(shards, len(plans[1].shards)), options.cores, table)
        console.print(table)


if __name__ == "__main__":
    main()
