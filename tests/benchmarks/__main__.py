"""``make bench``: every promise that is a number, measured against its peer in one run."""

import sys

from tests.benchmarks import (
    bench_convert,
    bench_crop,
    bench_far,
    bench_folder,
    bench_mixing,
    bench_plan,
    bench_report,
    bench_scale,
    bench_store,
    bench_stream,
    bench_sysu30k,
    bench_tars,
)

BENCHES = {
    "crop": bench_crop.main,
    "far": bench_far.main,
    "folder": bench_folder.main,
    "mixing": bench_mixing.main,
    "convert": bench_convert.main,
    "plan": bench_plan.main,
    "report": bench_report.main,
    "scale": bench_scale.main,
    "store": bench_store.main,
    "stream": bench_stream.main,
    "sysu30k": bench_sysu30k.main,
    "tars": bench_tars.main,
}


def main() -> None:
    """``python -m tests.benchmarks [NAME [OPTIONS]]``; without the name of one of ``BENCHES``, all of them."""
    name, *arguments = sys.argv[1:] or ["all"]
    if name not in {*BENCHES, "all"}:
        sys.exit(f"no bench named {name}: {', '.join(BENCHES)}, or none for all")
    for bench, run in BENCHES.items():
        if name in {bench, "all"}:
            run(arguments if name == bench else [])


if __name__ == "__main__":
    main()
