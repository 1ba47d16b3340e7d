"""How long planning takes and how much memory, by stage, at City1M's scale.

The promise is 60 s and 3 GiB on two cores, measured in one fresh process, page cache warm.
"""

import argparse
import functools
import importlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.plan import make_plan
from pipeline.sources.city1m import CITY1M
from shards_spec.storage import LocalStore
from tests.support.options import city1m_options

LIMIT_SECONDS = 60.0
LIMIT_BYTES = 3 << 30
STAGES = (
    ("pipeline.sources.city1m.full.catalog", "read_labels"),
    ("pipeline.sources.city1m.full.catalog", "merge_lines"),
    ("pipeline.sources.city1m.full.catalog", "read_archives"),
    ("pipeline.sources.city1m.full.catalog", "locate_frames"),
    ("pipeline.sources.city1m.full.catalog", "_judge"),
    ("pipeline.sources.city1m.full.catalog", "_build_table"),
    ("pipeline.plan.plan", "_plan_shards"),
    ("pipeline.plan.plan", "_digest"),
)


def memory(field: str) -> int:
    """``VmHWM`` (peak) or ``VmRSS`` of this process in bytes; unlike ``getrusage`` it does not inherit a peak."""
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def timed(stage: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stage)
    def run(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = stage(*arguments)
        if stage.__name__ == "_plan_shards":
            result = list(result)
        seconds = time.perf_counter() - started
        resident, peak = (memory(field) / 2**20 for field in ("VmRSS", "VmHWM"))
        say(f"{stage.__name__:16} {seconds:7.2f} s   resident {resident:6.0f} MiB   peak {peak:6.0f} MiB")
        return result

    return run


def measure(folder: str) -> int:
    """Plan once, in this process; 1 where a promise is not kept."""
    for module, name in STAGES:
        setattr(importlib.import_module(module), name, timed(getattr(importlib.import_module(module), name)))
    store = LocalStore(folder)
    started = time.perf_counter()
    options = city1m_options()
    catalog = CITY1M.survey(store, options)
    plan = make_plan(catalog, options, {"reid-shards": "bench"})
    seconds = time.perf_counter() - started
    slicing = time.perf_counter()
    for shard in plan.shards[:20]:
        plan.slice(shard)
    slicing = (time.perf_counter() - slicing) / min(20, len(plan.shards))
    peak = memory("VmHWM")
    say(
        f"{catalog.accounts['lines'].total:,} label lines, {catalog.rows.num_rows:,} frames, "
        f"{catalog.accounts['members'].total:,} members, "
        f"{len(plan.shards)} shards, {len(catalog.rejects)} rejects, {slicing * 1000:.1f} ms a slice"
    )
    say(f"{plan.digest}")
    say(f"in all {seconds:.1f} s (at most {LIMIT_SECONDS:.0f}), {peak / 2**30:.2f} GiB (at most {LIMIT_BYTES >> 30})")
    return int(seconds > LIMIT_SECONDS or peak > LIMIT_BYTES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, on a folder made by ``make_city1m_scale`` or on a fresh one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="default: one made for this run, a gigabyte in a temporary folder")
    folder = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        if folder is None:
            subprocess.run([sys.executable, "-m", "tests.benchmarks.make_city1m_scale", temporary], check=True)
        # In a process of its own: what other benches left in this one's memory must not count.
        code = "import sys; from tests.benchmarks.bench_plan import measure; sys.exit(measure(sys.argv[1]))"
        return subprocess.run([sys.executable, "-c", code, folder or temporary], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
