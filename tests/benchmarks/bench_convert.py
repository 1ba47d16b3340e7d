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
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

from pipeline.archives import members as members_module
from pipeline.cluster import connect, run_shards
from pipeline.crop import frame as frame_module
from pipeline.demo import make_demo
from pipeline.driver import plan_conversion
from pipeline.finish import finish
from pipeline.options import CropMode, Options
from pipeline.shard import ShardRecord, convert_shard
from pipeline.tasks import shard_task
from shards_spec.storage import LocalStore

SAMPLES_PER_SHARD = 1000
QUIET = Console(quiet=True)


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


def from_start_to_end(source: Path, out: Path, workers: int, crop: CropMode) -> None:
    """The command, in a process of its own, Ray's start included."""
    fresh(out)
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "convert", str(source), str(out)]
    command += ["--workers", str(workers), "--crop", crop, "--samples-per-shard", str(SAMPLES_PER_SHARD)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def once_ray_is_up(source: Path, out: Path, workers: int, crop: CropMode) -> float:
    """Seconds of planning, converting and finishing, with Ray started before."""
    options = Options(crop=crop, samples_per_shard=SAMPLES_PER_SHARD)
    store = LocalStore(fresh(out))
    with connect(workers, None):
        # Starts the worker processes, which a long run does once.
        warm = plan_conversion(str(source), None, options, QUIET)
        list(run_shards(warm, warm.shards[: 2 * workers], str(source), str(fresh(out))))
        fresh(out)

        def run() -> None:
            plan = plan_conversion(str(source), None, options, QUIET)
            events = run_shards(plan, plan.shards, str(source), store.url)
            records = {(e.cell, e.number): e for e in events if isinstance(e, ShardRecord)}
            finish(store, plan, records)

        return timed(run)


def stages(source: Path, out: Path, crop: CropMode) -> dict[str, float]:
    """Milliseconds a frame of each part of ``convert_shard``, in this process."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(stage: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[stage] += time.perf_counter() - start

        return call

    kernel = "kernel" if crop == "lossless" else "decode, crop, encode"
    functions = [(members_module, "_unpack", "reading: unpacking, CRC-32")]
    names = ["crop_jpeg"] if crop == "lossless" else ["decode_frame", "encode_crops"]
    functions += [(frame_module, name, kernel) for name in names]
    plan = plan_conversion(str(source), None, Options(crop=crop, samples_per_shard=SAMPLES_PER_SHARD), QUIET)
    store = LocalStore(fresh(out))
    seconds: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        for module, name, stage in functions:
            stack.enter_context(mock.patch.object(module, name, clocked(stage, getattr(module, name))))
        for shard in plan.shards:
            seconds.update(convert_shard(shard_task(plan, shard), LocalStore(source), store).seconds)
    frames = plan.catalog.frames.num_rows
    parts = {
        "reading: waiting": seconds["read"],
        **spent,
        "rest of reading and cutting": seconds["cut"] - sum(spent.values()),
        "tar, sidecars, index": seconds["write"],
    }
    return {name: 1000 * value / frames for name, value in parts.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ratios and the stages."""
    parser = argparse.ArgumentParser(prog="bench convert", description=__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="frames of the demo set to convert")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="each contender in turn; medians count")
    parser.add_argument("--source", type=Path, help="convert this City1M instead of a demo set")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        source = options.source or Path(folder, "source")
        if options.source is None:
            make_demo(source, frames=options.frames, workers=options.workers)
        subprocess.run(["sh", "-c", f"cat '{source}'/*.zip > /dev/null"], check=True)  # into the page cache
        out = Path(folder, "out")
        walls: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            walls.setdefault("script", []).append(timed(lambda: peer(source, out, options.workers)))
            for crop in ("lossless", "reencode"):
                name = f"convert --crop {crop}"
                walls.setdefault(f"{name}, start to end", []).append(
                    timed(lambda crop=crop: from_start_to_end(source, out, options.workers, crop))  # type: ignore[misc]
                )
                walls.setdefault(f"{name}, once Ray is up", []).append(
                    once_ray_is_up(source, out, options.workers, crop)
                )
        frames = json.loads((out / "dataset.json").read_text())["totals"]["frames"]
        base = statistics.median(walls["script"])
        table = Table("wall time, median", "s", "frames/s", "times the script", title=f"{frames} frames")
        for name, seconds in walls.items():
            median = statistics.median(seconds)
            table.add_row(name, f"{median:.2f}", f"{frames / median:.0f}", f"{base / median:.2f}x")
        console.print(table)
        for crop in ("lossless", "reencode"):
            parts = stages(source, out, crop)  # type: ignore[arg-type]
            total = sum(parts.values())
            table = Table("part of convert_shard", "ms a frame", "share", title=f"--crop {crop}, one core")
            for name, spent in parts.items():
                table.add_row(name, f"{spent:.3f}", f"{spent / total:.0%}")
            console.print(table)


if __name__ == "__main__":
    main()
