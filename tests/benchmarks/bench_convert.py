"""`convert` from start to end against the script that one would write instead, and against starting Ray alone.

Two promises are measured: a small conversion takes little longer than starting and stopping Ray, and a large one is
several times as fast as the script. Contenders take turns, medians count, and processor seconds of all processes stand
beside the seconds on the clock, which other work on the machine makes longer.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast
from unittest import mock

from rich.console import Console
from rich.table import Table

from pipeline.archives import ZipRequest
from pipeline.cluster.engine import run_shards
from pipeline.cluster.session import RaySession
from pipeline.crop import frame as frame_module
from pipeline.demo import make_demo
from pipeline.options import CutOptions, Options
from pipeline.run.driver import plan_conversion
from pipeline.run.finish import finish
from pipeline.shards import convert as shard_module
from pipeline.shards.convert import convert_shard
from pipeline.shards.record import ShardRecord
from pipeline.shards.tasks import shard_task
from pipeline.sources.city1m import CITY1M
from shards_spec.options import CropMode
from shards_spec.storage import LocalStore
from tests.benchmarks.make_large_source import make_large_source
from tests.support.options import city1m_options

SAMPLES_PER_SHARD = 1000
"""Of the small set, so that there are enough shards for all workers. The large set has the default's."""
RAY_ALONE = "starting and stopping Ray alone"
CPU_GROUPS = Path("/sys/fs/cgroup/cpuacct")
"""Linux's control groups that count processor time; of their second version, the folder above."""
CONSOLE = Console(highlight=False)


def _cut(options: Options) -> CutOptions:
    assert options.cut is not None
    return options.cut


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


class Spent(NamedTuple):
    """What a command took."""

    wall: float
    """Seconds until it ended."""
    cpu: float | None
    """Processor seconds of all processes that it started, to the end of the last; None where they are not counted."""


def run_measured(*command: object) -> Spent:
    """Run a command, in a control group of its own where this process may make one."""
    root, group = (CPU_GROUPS if CPU_GROUPS.is_dir() else CPU_GROUPS.parent), None
    with contextlib.suppress(OSError):
        (root / f"bench-{os.getpid()}").mkdir()
        group = root / f"bench-{os.getpid()}"
    join = "" if group is None else f"echo $$ > '{group}/cgroup.procs' && "
    words = ["sh", "-c", f'{join}exec "$@"', "sh", *map(str, command)]
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    if group is None:
        return Spent(wall, None)
    while (group / "cgroup.procs").read_text():  # what Ray leaves behind ends within seconds
        time.sleep(0.1)
    cpu = cpu_seconds(group)
    group.rmdir()
    return Spent(wall, cpu)


def cpu_seconds(group: Path) -> float:
    """Processor seconds of all that has run in a control group, of either version."""
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def peer(source: Path, out: Path, workers: int) -> Spent:
    """The script, in a process of its own."""
    script = Path(__file__).with_name("peer_script.py")
    return run_measured(sys.executable, script, source, fresh(out), workers)


def ray_alone(workers: int) -> Spent:
    """A process that starts a Ray and stops it."""
    start = f"ray.init(address='local', num_cpus={workers}, include_dashboard=False, log_to_driver=False)"
    return run_measured(sys.executable, "-c", f"import ray; {start}; ray.shutdown()")


def from_start_to_end(source: Path, out: Path, workers: int, options: Options) -> Spent:
    """The command, in a process of its own, Ray's start included."""
    program = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
    chosen = ["--workers", workers, "--crop", _cut(options).crop]
    chosen += ["--samples-per-shard", options.common.samples_per_shard]
    return run_measured(*program, "convert", source, fresh(out), *chosen)


def once_ray_is_up(source: Path, out: Path, workers: int, options: Options) -> Spent:
    """What it takes: planning, converting and finishing, with Ray started before."""
    store = LocalStore(fresh(out))
    with RaySession(workers, None) as session:
        session.wait()
        # Starts the worker processes, which a long run does once.
        warm = plan_conversion(CITY1M, str(source), options, lambda _: None)
        list(run_shards(session, warm, warm.shards[: 2 * workers], str(source), str(fresh(out))))
        fresh(out)

        def run() -> None:
            plan = plan_conversion(CITY1M, str(source), options, lambda _: None)
            events = run_shards(session, plan, plan.shards, str(source), store.url)
            records = {(e.cell, e.number): e for e in events if isinstance(e, ShardRecord)}
            finish(store, plan, records)

        return Spent(timed(run), None)


def stages(source: Path, out: Path, options: Options) -> dict[str, float]:
    """CPU milliseconds a frame of each part of ``convert_shard``, in this thread: the one that does not wait."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(stage: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            start = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[stage] += time.thread_time() - start

        return call

    kernel = "kernel" if _cut(options).crop == "lossless" else "decode, crop, encode"
    functions = [(ZipRequest, "unpack", "reading: unpacking, CRC-32"), (shard_module, "_write_shard", "writing")]
    names = ["crop_jpegs"] if _cut(options).crop == "lossless" else ["decode_image", "encode_crop"]
    functions += [(frame_module, name, kernel) for name in names]
    plan = plan_conversion(CITY1M, str(source), options, lambda _: None)
    store = LocalStore(fresh(out))
    with contextlib.ExitStack() as stack:
        for module, name, stage in functions:
            stack.enter_context(mock.patch.object(module, name, clocked(stage, getattr(module, name))))
        start = time.thread_time()
        for shard in plan.shards:
            convert_shard(shard_task(plan, shard), LocalStore(source), store)
        everything = time.thread_time() - start
    frames = plan.catalog.rows.num_rows
    parts = {
        "reading: unpacking, CRC-32": spent["reading: unpacking, CRC-32"],
        kernel: spent[kernel],
        "tar, sidecars, index": spent["writing"],
        "rest": everything - sum(spent.values()),
    }
    return {name: 1000 * value / frames for name, value in parts.items()}


def read_once(source: Path) -> None:
    """Bring the archives into the page cache."""
    subprocess.run(["sh", "-c", f"cat '{source}'/*.zip > /dev/null"], check=True)


def measure_start(source: Path, out: Path, workers: int, rounds: int) -> None:
    """Print what a small conversion takes, start to end, against starting and stopping Ray alone."""
    read_once(source)
    spent: dict[str, list[Spent]] = defaultdict(list)
    for _ in range(rounds):
        spent[RAY_ALONE].append(ray_alone(workers))
        spent["convert, start to end"].append(from_start_to_end(source, out, workers, city1m_options()))
    frames = frames_of(out)
    table = Table(f"median of {rounds}", "s", "CPU s", "times Ray alone", title=f"{frames} frames, {workers} workers")
    base = median_wall(spent[RAY_ALONE])
    for name, runs in spent.items():
        table.add_row(name, f"{median_wall(runs):.2f}", median_cpu(runs), f"{median_wall(runs) / base:.2f}x")
    CONSOLE.print(table)


def compare(source: Path, out: Path, workers: int, rounds: int, contenders: Sequence[str], options: Options) -> None:
    """Print the wall time of the script, of Ray alone, and of ``convert``, in turn.

    Args:
        source: of the frames.
        out: emptied before each.
        workers: of each.
        rounds: of which the median counts.
        contenders: modes of cropping, each followed by ", start to end" or ", once Ray is up".
        options: of the conversion, but for the mode.
    """
    read_once(source)
    spent: dict[str, list[Spent]] = defaultdict(list)
    for _ in range(rounds):
        spent["script"].append(peer(source, out, workers))
        spent[RAY_ALONE].append(ray_alone(workers))
        for contender in contenders:
            crop, _, how = contender.partition(", ")
            chosen = replace(options, cut=replace(_cut(options), crop=cast(CropMode, crop)))
            run = once_ray_is_up if how == "once Ray is up" else from_start_to_end
            spent[f"convert --crop {contender}"].append(run(source, out, workers, chosen))
    frames = frames_of(out)
    title = f"{frames} frames, {workers} workers"
    table = Table(f"median of {rounds}", "s", "CPU s", "frames/s", "times the script", title=title)
    base = median_wall(spent["script"])
    for name, runs in spent.items():
        wall = median_wall(runs)
        of_frames = ("", "") if name == RAY_ALONE else (f"{frames / wall:.0f}", f"{base / wall:.2f}x")
        table.add_row(name, f"{wall:.2f}", median_cpu(runs), *of_frames)
    CONSOLE.print(table)


def frames_of(out: Path) -> int:
    """Frames of a set."""
    return int(json.loads((out / "dataset.json").read_text())["totals"]["units"])


def median_wall(runs: Sequence[Spent]) -> float:
    """The median of seconds on the clock."""
    return statistics.median(run.wall for run in runs)


def median_cpu(runs: Sequence[Spent]) -> str:
    """The median of processor seconds, for a table."""
    seconds = [run.cpu for run in runs if run.cpu is not None]
    return f"{statistics.median(seconds):.2f}" if seconds else ""


def explain(source: Path, out: Path, options: Options) -> None:
    """Print where the time of ``convert_shard`` goes."""
    parts = stages(source, out, options)
    total = sum(parts.values())
    rest = parts["rest"] + parts["tar, sidecars, index"]
    title = f"--crop {_cut(options).crop}, shards of up to {options.common.samples_per_shard}, one core"
    caption = f"neither the crops' pixels nor reading: {rest / total:.0%}"
    table = Table("part of convert_shard", "CPU ms a frame", "share", title=title, caption=caption)
    for name, spent in parts.items():
        table.add_row(name, f"{spent:.3f}", f"{spent / total:.0%}")
    CONSOLE.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ratios and the stages."""
    parser = argparse.ArgumentParser(prog="bench convert", description=__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="frames of the demo set to convert")
    parser.add_argument(
        "--copies", type=int, default=10, help="of these frames in the large set; 10 take 4.5 GB of disk"
    )
    parser.add_argument("--small", type=int, default=240, help="frames of the set whose start to end is measured")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="each contender in turn; medians count")
    parser.add_argument("--source", type=Path, help="convert this City1M instead of a demo set")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "out")
        source = chosen.source or Path(folder, "source")
        if chosen.source is None:
            make_demo(source, images=chosen.frames, workers=chosen.workers)
        small_source = Path(folder, "small")
        make_demo(small_source, images=chosen.small, workers=chosen.workers)
        measure_start(small_source, out, chosen.workers, chosen.rounds)
        small = city1m_options(samples_per_shard=SAMPLES_PER_SHARD)
        contenders = [
            f"{crop}, {how}" for crop in ("lossless", "reencode") for how in ("start to end", "once Ray is up")
        ]
        compare(source, out, chosen.workers, chosen.rounds, contenders, small)
        explain(source, out, city1m_options(crop="reencode", samples_per_shard=SAMPLES_PER_SHARD))
        large = Path(folder, "large")
        make_large_source(source, large, chosen.copies, chosen.workers)
        compare(large, out, chosen.workers, chosen.rounds, ["lossless, start to end"], city1m_options())
        explain(large, out, city1m_options())


if __name__ == "__main__":
    main()
