"""Converting tars of small images: where a sample's microseconds go, and `convert` against its peers."""

import hashlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from rich.table import Table

from pipeline.archives import SerialTasks, Tasks
from pipeline.cluster.engine import run_shards
from pipeline.cluster.session import RaySession, _descendants
from pipeline.cluster.survey import RayTasks
from pipeline.crop import whole
from pipeline.plan import Plan
from pipeline.run.driver import plan_conversion
from pipeline.run.finish import finish
from pipeline.shards import convert as shard_module
from pipeline.shards import packing
from pipeline.shards.convert import ShardTask, convert_shard
from pipeline.shards.reading import read_rows
from pipeline.shards.record import ShardRecord
from pipeline.shards.tasks import shard_task
from pipeline.sources.sysu30k import SYSU30K
from pipeline.sources.sysu30k.converter import Sysu30kConverter
from shards_spec.index_rows import IndexBuilder
from shards_spec.storage import LocalStore
from tests.benchmarks.bench_convert import CONSOLE, Spent, fresh, run_measured, timed

MOST_MICROSECONDS = 12.0
"""Processor time that ``convert_shard`` may take for a sample, without reading it and checking its image."""
TIMES_WEBDATASET = 5.0
TIMES_TAR = 1.0
WHOLE = "all of convert_shard"
READING = "reading"
CHECK = "the check of the image"
OURS = "convert, once Ray is up"
WEBDATASET = "webdataset, bytes only"
TAR = "tar -xf, one after the other"


def sha_instructions() -> str:
    """Say whether the processor has instructions for SHA-256, without which it takes several times as long."""
    words = set(Path("/proc/cpuinfo").read_text().split())
    return "has SHA instructions" if words & {"sha_ni", "sha2"} else "has no SHA instructions"


class Stages:
    """Processor time of functions in this thread, each without that of the others which it calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def clocked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and adds its time. What it yields is made at once."""

        def call(*arguments: Any, **named: Any) -> Any:
            def work() -> Any:
                result = function(*arguments, **named)
                return list(result) if isinstance(result, Iterator) else result

            return self._clock(name, work)

        return call

    def clocked_steps(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Return a function that yields the same and adds the time of each step."""

        def steps(*arguments: Any, **named: Any) -> Iterator[Any]:
            items, end = function(*arguments, **named), object()
            while (item := self._clock(name, lambda: next(items, end))) is not end:
                yield item

        return steps

    def _clock(self, name: str, work: Callable[[], Any]) -> Any:
        self._inner.append(0.0)
        start = time.thread_time()
        result = work()
        taken = time.thread_time() - start
        self.spent[name] += taken - self._inner.pop()
        self._inner[-1] += taken
        return result


STAGES: list[tuple[Any, str, str]] = [
    (Sysu30kConverter, "rows", "rows of the catalog as objects"),
    (whole, "check_jpegs", CHECK),
    (Sysu30kConverter, "make_samples", "samples and sidecars"),
    (packing, "encode_sidecars", "sidecars as JSON"),
    (packing, "write_samples", "headers and files into the spool"),
    (IndexBuilder, "extend", "rows of the index as columns"),
    (packing.Packer, "add", "passing samples on, CRC-32"),
    (packing, "move_rows", "rows of the index in the shard's order"),
    (shard_module._HashingOutput, "write", "SHA-256 and writing"),  # noqa: SLF001 - there is no other place to measure
    (packing.Packer, "write", "parts in the shard's order"),
    (shard_module, "_encode_rows", "the index's file"),
]


def plan_tars(source: Path, tasks: Tasks) -> Plan:
    """Survey and plan, without the results that the user's cache may hold."""
    return plan_conversion(SYSU30K, str(source), SYSU30K.make_options({}), lambda _: None, tasks)


def thread_seconds(work: Callable[[], object]) -> float:
    """Processor time that ``work`` takes in this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def measure_stages(tasks: Sequence[ShardTask], store: LocalStore, out: Path, rounds: int) -> dict[str, float]:
    """Return the processor seconds of each of ``STAGES``, and of the whole with what is in none of them.

    They are those of the fastest round: work beside it, also that of other machines on the same processor, makes a
    round longer, and nothing makes one shorter.
    """
    spent: list[dict[str, float]] = []
    for turn in range(rounds + 1):
        target = LocalStore(fresh(out))
        stages = Stages()
        with ExitStack() as stack:
            reading = stages.clocked_steps(READING, read_rows)
            stack.enter_context(mock.patch.object(shard_module, "read_rows", reading))
            for owner, name, stage in STAGES:
                stack.enter_context(mock.patch.object(owner, name, stages.clocked(stage, getattr(owner, name))))
            whole_time = thread_seconds(lambda: [convert_shard(task, store, target) for task in tasks])  # noqa: B023
        if turn:  # the first turn imports
            spent.append({**stages.spent, WHOLE: whole_time})
    return min(spent, key=lambda stages: stages[WHOLE])


def explain(source: Path, out: Path, rounds: int) -> bool:
    """Print where the time of ``convert_shard`` goes; return whether its own part is small enough."""
    plan = plan_tars(source, SerialTasks(LocalStore(source)))
    tasks = [shard_task(plan, shard) for shard in plan.shards]
    samples = plan.catalog.rows.num_rows
    seconds = measure_stages(tasks, LocalStore(source), out, rounds)
    parts = {stage: 1e6 * value / samples for stage, value in seconds.items()}
    total = parts.pop(WHOLE)
    parts["rest: batches, accounts, files"] = total - sum(parts.values())
    table = Table("part of convert_shard", "CPU us a sample", "share", title=f"{samples:,} samples, one core")
    for stage, value in (*parts.items(), ("all", total)):
        table.add_row(stage, f"{value:.2f}", f"{value / total:.0%}")
    CONSOLE.print(table)
    written = sum(file.stat().st_size for file in out.rglob("*.tar")) / samples
    block = bytes(2**20)
    hashing = 1e6 * min(thread_seconds(lambda: hashlib.sha256(block)) for _ in range(20)) * written / len(block)
    own = total - parts[READING] - parts[CHECK]
    is_kept = own <= MOST_MICROSECONDS
    sys.stdout.write(f"SHA-256 of what is written takes {hashing:.2f} us of it: the processor {sha_instructions()}\n")
    sys.stdout.write(f"without {READING} and {CHECK}: {own:.2f} us, at most {MOST_MICROSECONDS}: {_kept(is_kept)}\n")
    return bool(is_kept)


def compare(source: Path, out: Path, workers: int, rounds: int) -> bool:
    """Print what ``convert``, webdataset and ``tar`` take for the same tars; return whether the ratios are kept.

    Each contender's fastest round counts. A virtual machine may get memory from its host a page at a time, at any
    time, which makes some rounds longer by a half; nothing makes one shorter.
    """
    peer = [sys.executable, Path(__file__).with_name("peer_tars.py"), source, out, workers]
    unpack = f"for tar in '{source}'/*.tar; do tar -xf \"$tar\" -C '{out}'; done"
    command = [sys.executable, "-c", "from pipeline.cli.main import main; main()", "convert", source, out]
    command += ["--workers", workers, "--max-rejects", "100%"]  # there is no test set
    ways: dict[str, Callable[[], Spent]] = {
        "convert, start to end": lambda: run_measured(*command),
        WEBDATASET: lambda: run_measured(*peer),
        "webdataset, images decoded as a check": lambda: run_measured(*peer, "decode"),
        TAR: lambda: run_measured("sh", "-c", unpack),
    }
    spent: dict[str, list[Spent]] = defaultdict(list)
    spent[OURS] = once_ray_is_up(source, out, workers, rounds)
    for _ in range(rounds):
        for name, way in ways.items():
            fresh(out)
            spent[name].append(way())
    files = sum(1 for _ in out.rglob("*.jpg"))
    fastest = {name: min(runs, key=lambda run: run.wall) for name, runs in spent.items()}
    title = f"{files:,} samples, {workers} workers"
    table = Table(f"fastest of {rounds}", "s", "slowest, s", "CPU s", "samples/s", "convert is", title=title)
    ours = fastest[OURS]
    for name, (wall, cpu) in fastest.items():
        slowest = max(run.wall for run in spent[name])
        worked = "" if cpu is None else f"{cpu:.2f}"
        faster = f"{wall / ours.wall:.2f}x as fast"
        table.add_row(name, f"{wall:.2f}", f"{slowest:.2f}", worked, f"{files / wall:,.0f}", faster)
    CONSOLE.print(table)
    is_kept = True
    for name, least in ((WEBDATASET, TIMES_WEBDATASET), (TAR, TIMES_TAR)):
        wall, cpu = fastest[name]
        ratio = wall / ours.wall
        worked = f"; of processor time, {cpu / ours.cpu:.2f}x" if cpu and ours.cpu else ""
        sys.stdout.write(f"against {name}: {ratio:.2f}x, at least {least}: {_kept(ratio >= least)}{worked}\n")
        is_kept &= ratio >= least
    return is_kept


def once_ray_is_up(source: Path, out: Path, workers: int, rounds: int) -> list[Spent]:
    """What surveying, planning, converting and finishing take, round after round.

    Ray's start is a thousandth of a run on SYSU-30k, and so is what processes do the first time: they import modules
    and get memory from the system. Therefore all rounds share one Ray, and a round before them does not count.
    """
    spent = []
    store = LocalStore(fresh(out))
    with RaySession(workers, None) as session:
        session.wait()

        def run() -> None:
            plan = plan_tars(source, RayTasks(session, LocalStore(source), store))
            events = run_shards(session, plan, plan.shards, str(source), store.url)
            records = {(event.cell, event.number): event for event in events if isinstance(event, ShardRecord)}
            finish(store, plan, records)

        run()
        for _ in range(rounds):
            fresh(out)
            before = tree_seconds()
            wall = timed(run)
            spent.append(Spent(wall, tree_seconds() - before))
    return spent


def tree_seconds() -> float:
    """Processor seconds so far of this process and of all that it has started, such as Ray's workers."""
    ticks = 0
    for process in (os.getpid(), *_descendants()):
        with suppress(OSError):  # it has ended in the meantime
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _kept(is_kept: bool) -> str:
    return "kept" if is_kept else "missed"
