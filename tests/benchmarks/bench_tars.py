"""What tars of small images cost: finding their entries, checking the images, and converting them.

    python -m tests.benchmarks.bench_tars [--entries N]

The tars look like parts of SYSU-30k: JPEGs of 2.8 kB under a long path, with a list and bags. They lie in memory, and
so does what is written; contenders take turns in one run. For the survey, the check and ``convert_shard``, processor
time counts, which other work on the machine makes a little longer; ``convert``, webdataset and ``tar`` are compared by
the clock, on the same cores.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.archives import find_tars, survey_tar
from pipeline.crop.bitstream import JpegError, check_jpegs
from shards_spec.images import decode_jpeg
from shards_spec.storage import LocalStore
from tests.benchmarks.bench_crop import render_frame
from tests.benchmarks.convert_tars import compare, explain

FOLDER = "SYSU-30k-released/SYSU-30k-released/sysu_train_set_all"
IMAGES = 1000
IMAGE_BYTES = 2800
OURS = "survey"
LEAST_RATE = 1.0
"""Gigabytes a second of one core that the survey must reach."""
MOST_MICROSECONDS = 8.0
"""Processor time that checking an image may take."""


def render_images() -> list[bytes]:
    """Upright pieces of street scenes, 64x128 pixels, all different and of about `IMAGE_BYTES` each."""
    generator = np.random.default_rng(0)
    frames = [Image.open(io.BytesIO(render_frame(seed))) for seed in range(3)]
    images = []
    for number in range(IMAGES):
        width = int(generator.integers(150, 350))
        left, top = int(generator.integers(0, 1920 - width)), int(generator.integers(0, 1080 - 2 * width))
        piece = frames[number % len(frames)].crop((left, top, left + width, top + 2 * width)).resize((64, 128))
        buffer = io.BytesIO()
        piece.save(buffer, "JPEG", quality=86)
        images.append(buffer.getvalue())
    return images


def write_source(folder: Path, images: Sequence[bytes], entries: int, parts: int) -> None:
    """Write tars of images over and over, 300 in a folder, their list, and bags of two folders."""
    folder.mkdir()
    for part in range(parts):
        first = entries * part // parts
        write_tar(
            folder / f"sysu_train_set_all_part{part + 1}.tar", images, range(first, entries * (part + 1) // parts)
        )
    lines = (f"{number // 300:010d}/{number:07d}.jpg\n" for number in range(entries))
    (folder / "train.txt").write_text("".join(lines))
    names = [f"{number:010d}/*" for number in range(entries // 300 + 1)]
    bags = [
        {"BagLabel": [number], "BagID": f"bag{number:010d}", "BagImages": names[number : number + 2]}
        for number in range(0, len(names), 2)
    ]
    (folder / "bag_level_label.json").write_text(json.dumps(bags))


def write_tar(path: Path, images: Sequence[bytes], numbers: Iterable[int]) -> None:
    """Write the images of these numbers."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for number in numbers:
            data = images[number % len(images)]
            info = tarfile.TarInfo(f"{FOLDER}/{number // 300:010d}/{number:07d}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time that ``work`` takes in this process and in those that it starts and waits for."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def measure_survey(path: Path, entries: int, rounds: int) -> bool:
    """Print the contenders' rates; return whether ours is high enough."""

    def survey() -> None:
        store = LocalStore(path.parent)
        (stream,) = find_tars(store, [path.name])
        assert survey_tar(store, stream).entries.num_rows == entries

    def list_with_tar() -> None:
        subprocess.run(["tar", "-tf", path], stdout=subprocess.DEVNULL, check=True)

    def list_with_python() -> None:
        with tarfile.open(path) as archive:
            assert len(archive.getmembers()) == entries

    ways = {OURS: survey, "tar -tf": list_with_tar, "Python's tarfile": list_with_python}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            spent[name].append(processor_seconds(way))
    medians = {name: statistics.median(seconds) for name, seconds in spent.items()}
    gigabytes = path.stat().st_size / 1e9
    sys.stdout.write(f"survey of a tar of {entries:,} entries, {gigabytes:.2f} GB, page cache warm, one core\n")
    for name, seconds in medians.items():
        sys.stdout.write(
            f"{name:20} {gigabytes / seconds:6.2f} GB/s, {1e6 * seconds / entries:6.2f} us an entry, "
            f"{seconds / medians[OURS]:5.1f}x the survey\n"
        )
    rate = gigabytes / medians[OURS]
    sys.stdout.write(f"at least {LEAST_RATE} GB/s: {'kept' if rate >= LEAST_RATE else 'missed'}\n")
    return rate >= LEAST_RATE


def measure_check(images: Sequence[bytes], rounds: int) -> bool:
    """Print what checking and decoding an image take; return whether the check is fast enough."""

    def check() -> None:
        assert not any(isinstance(result, JpegError) for result in check_jpegs(images))

    def decode() -> None:
        for data in images:
            decode_jpeg(data)

    ways = {"check": check, "decoding (Pillow)": decode}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            way()
            spent[name].append(1e6 * (time.process_time() - started) / len(images))
    medians = {name: statistics.median(values) for name, values in spent.items()}
    sys.stdout.write(f"{len(images):,} different images, {statistics.mean(map(len, images)):.0f} bytes on average\n")
    for name, value in medians.items():
        sys.stdout.write(f"{name:20} {value:6.2f} us an image, {value / medians['check']:5.1f}x the check\n")
    kept = medians["check"] <= MOST_MICROSECONDS
    sys.stdout.write(f"at most {MOST_MICROSECONDS} us: {'kept' if kept else 'missed'}\n")
    return kept


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; return 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=60_000, help="to survey, and of a core (default: %(default)s)")
    parser.add_argument("--large", type=int, default=200_000, help="entries to convert (default: %(default)s, 0.8 GB)")
    parser.add_argument("--workers", type=int, default=2, help="of each contender (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each contender runs (default: %(default)s)")
    arguments = parser.parse_args(argv)
    images = render_images()
    kept = measure_check(images, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory_folder()) as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        write_source(source, images, arguments.entries, 1)
        kept &= measure_survey(source / "sysu_train_set_all_part1.tar", arguments.entries, arguments.rounds)
        kept &= explain(source, out, arguments.rounds)
        large = Path(folder, "large")
        write_source(large, images, arguments.large, arguments.workers)
        kept &= compare(large, out, arguments.workers, min(arguments.rounds, 5))
    return int(not kept)


def memory_folder() -> str | None:
    """Return a folder in memory, or None if there is none."""
    shared = "/dev/shm"
    return shared if os.path.ismount(shared) else None


if __name__ == "__main__":
    sys.exit(main())
