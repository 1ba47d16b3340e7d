"""`convert` from end to end against the script that one would write instead, and where its time goes."""

import argparse
import contextlib
import json
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
from typing import cast
from unittest import mock

from rich.console import Console
from rich.table import Table

from pipeline import shard as shard_module
from pipeline.archives import members as members_module
from pipeline.cluster import run_shards
from pipeline.crop import frame as frame_module
from pipeline.demo import make_demo
from pipeline.driver import plan_conversion
from pipeline.finish import finish
from pipeline.options import CropMode, Options
from pipeline.session import RaySession
from pipeline.shard import convert_shard
from pipeline.tasks import shard_task
from pipeline.work import ShardRecord
from shards_spec.storage import LocalStore
from tests.benchmarks.make_large_source import make_large_source

SAMPLES_PER_SHARD = 1000
"""Of the small set, so that there are enough shards for all workers. The large set has the default's."""
QUIET = Console(quiet=True)
CONSOLE = Console(highlight=False)


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


def peer(source: Path, out: Path, workers: int) -> None:
    """The script, in a process of its own."""
    script = Path(__file__).with_name("peer_script.py")
    command = [sys.executable, str(script), str(source), str(fresh(out)), str(workers)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def from_start_to_end(source: Path, out: Path, workers: int, options: Options) -> None:
    """The command, in a process of its own, Ray's start included."""
    fresh(out)
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "convert", str(source), str(out)]
    command += ["--workers", str(workers), "--crop", options.crop]
    command += ["--samples-per-shard", str(options.samples_per_shard)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def once_ray_is_up(source: Path, out: Path, workers: int, options: Options) -> float:
    """Seconds of planning, converting and finishing, with Ray started before."""
    store = LocalStore(fresh(out))
    with RaySession(workers, None) as session:
        session.wait()
        # Starts the worker processes, which a long run does once.
        warm = plan_conversion(str(source), None, options, QUIET)
        list(run_shards(session, warm, warm.shards[: 2 * workers], str(source), str(fresh(out))))
        fresh(out)

        def run() -> None:
            plan = plan_conversion(str(source), None, options, QUIET)
            events = run_shards(session, plan, plan.shards, str(source), store.url)
            records = {(e.cell, e.number): e for e in events if isinstance(e, ShardRecord)}
            finish(store, plan, records)

        return timed(run)


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

    kernel = "kernel" if options.crop == "lossless" else "decode, crop, encode"
    functions = [(members_module, "_unpack", "reading: unpacking, CRC-32"), (shard_module, "_write_shard", "writing")]
    names = ["crop_jpegs"] if options.crop == "lossless" else ["decode_image", "encode_crop"]
    functions += [(frame_module, name, kernel) for name in names]
    plan = plan_conversion(str(source), None, options, QUIET)
    store = LocalStore(fresh(out))
    with contextlib.ExitStack() as stack:
        for module, name, stage in functions:
            stack.enter_context(mock.patch.object(module, name, clocked(stage, getattr(module, name))))
        start = time.thread_time()
        for shard in plan.shards:
            convert_shard(shard_task(plan, shard), LocalStore(source), store)
        everything = time.thread_time() - start
    frames = plan.catalog.frames.num_rows
    parts = {
        "reading: unpacking, CRC-32": spent["reading: unpacking, CRC-32"],
        kernel: spent[kernel],
        "tar, sidecars, index": spent["writing"],
        "rest": everything - sum(spent.values()),
    }
    return {name: 1000 * value / frames for name, value in parts.items()}


def compare(source: Path, out: Path, workers: int, rounds: int, contenders: Sequence[str], options: Options) -> None:
    """Print the wall time of the script and of ``convert``, in turn.

    Args:
        source: of the frames.
        out: emptied before each.
        workers: of each.
        rounds: of which the median counts.
        contenders: modes of cropping, each followed by ", start to end" or ", once Ray is up".
        options: of the conversion, but for the mode.
    """
    subprocess.run(["sh", "-c", f"cat '{source}'/*.zip > /dev/null"], check=True)  # into the page cache
    walls: dict[str, list[float]] = {"script": []}
    for _ in range(rounds):
        walls["script"].append(timed(lambda: peer(source, out, workers)))
        for contender in contenders:
            crop, _, how = contender.partition(", ")
            chosen = replace(options, crop=cast(CropMode, crop))
            wall = (
                once_ray_is_up(source, out, workers, chosen)
                if how == "once Ray is up"
                else timed(lambda chosen=chosen: from_start_to_end(source, out, workers, chosen))  # type: ignore[misc]
            )
            walls.setdefault(f"convert --crop {contender}", []).append(wall)
    frames = json.loads((out / "dataset.json").read_text())["totals"]["frames"]
    base = statistics.median(walls["script"])
    title = f"{frames} frames, {workers} workers"
    table = Table(f"wall time, median of {rounds}", "s", "frames/s", "times the script", title=title)
    for name, seconds in walls.items():
        median = statistics.median(seconds)
        table.add_row(name, f"{median:.2f}", f"{frames / median:.0f}", f"{base / median:.2f}x")
    CONSOLE.print(table)


def explain(source: Path, out: Path, options: Options) -> None:
    """Print where the time of ``convert_shard`` goes."""
    parts = stages(source, out, options)
    total = sum(parts.values())
    rest = parts["rest"] + parts["tar, sidecars, index"]
    title = f"--crop {options.crop}, shards of up to {options.samples_per_shard}, one core"
    caption = f"neither the crops' pixels nor reading: {rest / total:.0%}"
    table = Table("part of convert_shard", "CPU ms a frame", "share", title=title, caption=caption)
    for name, spent in parts.items():
        table.add_row(name, f"{spent:.3f}", f"{spent / total:.0%}")
    CONSOLE.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ratios and the stages."""
    parser = argparse.ArgumentParser(prog="bench convert", description=__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="frames of the demo set to convert")
    parser.add_argument("--copies", type=int, default=20, help="of these frames in the large set; 20 take 9 GB of disk")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="each contender in turn; medians count")
    parser.add_argument("--source", type=Path, help="convert this City1M instead of a demo set")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "out")
        source = chosen.source or Path(folder, "source")
        if chosen.source is None:
            make_demo(source, frames=chosen.frames, workers=chosen.workers)
        small = Options(samples_per_shard=SAMPLES_PER_SHARD)
        contenders = [
            f"{crop}, {how}" for crop in ("lossless", "reencode") for how in ("start to end", "once Ray is up")
        ]
        compare(source, out, chosen.workers, chosen.rounds, contenders, small)
        explain(source, out, Options(crop="reencode", samples_per_shard=SAMPLES_PER_SHARD))
        large = Path(folder, "large")
        make_large_source(source, large, chosen.copies, chosen.workers)
        compare(large, out, chosen.workers, 1, ["lossless, start to end"], Options())
        explain(large, out, Options())


if __name__ == "__main__":
    main()
