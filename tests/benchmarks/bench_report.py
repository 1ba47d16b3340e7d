"""The report of ten million samples: its seconds, its memory and the size of the page.

The set is made of a small one's samples: its indexes are of full size, and all its shards are one file.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shards_spec.layout import SET_FILES
from tests.benchmarks.make_scale_set import SHARD_SAMPLES, make_scale_set
from tests.support.sets import edit_manifest, make_set
from tests.support.source import mini_source


def make_sound(manifest: dict[str, Any]) -> None:
    """Make the manifest of a scale set one that does not contradict itself."""
    totals = manifest["totals"]
    samples, units = totals["samples"], totals["units"]
    totals["shards"] = samples // SHARD_SAMPLES
    totals["accounts"] = {
        name: {"total": count, "kept": count, "rejected": 0}
        for name, count in (("lines", units), ("frames", units), ("members", samples))
    }
    manifest["source"]["labels"] = [one for one in manifest["source"]["labels"] if one["file"] == "train_part1.txt"]
    manifest |= {"notes": {}, "rejects": {}}
    for name, choice in (("box_order", "xywh"), ("identity_scope", "group")):
        manifest["options"][name] = choice
        manifest["decisions"][name] = {"choice": choice, "evidence": {"given": True}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench report", description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_set(mini_source().write(folder / "source"), folder / "small")
        make_scale_set(folder / "small", folder / "set", options.samples // SHARD_SAMPLES)
        for file in SET_FILES:
            (folder / "set" / file).write_bytes((folder / "small" / file).read_bytes())
        edit_manifest(folder / "set", make_sound)
        page = folder / "page.html"
        began = time.perf_counter()
        program = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
        subprocess.run(
            [*program, "report", str(folder / "set"), "--to", str(page)], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        table = Table("samples", "s", "CPU s", "MiB", "page, MB", title="reid-shards report")
        table.add_row(
            f"{options.samples:,}",
            f"{seconds:.1f}",
            f"{used.ru_utime + used.ru_stime:.1f}",
            f"{used.ru_maxrss / 1024:,.0f}",
            f"{page.stat().st_size / 1e6:.1f}",
        )
        Console().print(table)


if __name__ == "__main__":
    main()
