"""What a folder of small crops costs: a whole conversion, against webdataset's TarWriter, and against reading alone.

    python -m tests.benchmarks.bench_folder [--crops N]

The folder looks like Market-1501 with images of 2.8 kB. It lies in the page cache, contenders take turns in one run,
and processor time counts. The conversion has everything but Ray: the survey, the check of each image, the tars, the
indexes, card and manifest. The script puts the same images with a small JSON each into as many tars, and checks
nothing. Opening and reading each file is what no way can do without; the check of the images and the SHA-256 of the
tars are what no conversion can.
"""

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import webdataset

from pipeline.crop.bitstream import check_jpegs
from pipeline.sources.registry import SOURCES
from tests.benchmarks.bench_tars import processor_seconds, render_images
from tests.support.sets import convert_source

OURS = "conversion"
SCRIPT = "TarWriter script"
READING = "reading alone"
CHECK = "the check alone"
HASHING = "SHA-256 alone"
WANTED = 5.0
"""How many times as long as the conversion the script should take."""
CROPS_A_PERSON = 20


def write_folder(root: Path, crops: int) -> None:
    """Write crops of Market-1501's names, two thirds of them for training."""
    images = render_images()
    for folder, first, last in (
        ("bounding_box_train", 0, crops * 2 // 3),
        ("bounding_box_test", crops * 2 // 3, crops),
    ):
        (root / folder).mkdir(parents=True)
        for number in range(first, last):
            name = f"{2 + number // CROPS_A_PERSON:04d}_c{1 + number % 6}s1_{number:06d}_00.jpg"
            (root / folder / name).write_bytes(images[number % len(images)])


def run_script(root: Path, out: Path) -> None:
    """Do what a user's script does: a tar for each folder, with webdataset's writer."""
    out.mkdir()
    for folder in sorted(root.iterdir()):
        with webdataset.TarWriter(str(out / f"{folder.name}.tar")) as sink:
            for file in sorted(os.listdir(folder)):  # noqa: PTH208 - as fast as a script can be
                path = f"{folder}/{file}"
                with open(path, "rb") as source:  # noqa: PTH123
                    data = source.read()
                label = {"image": f"{folder.name}/{file}", "person_id": file[:4], "camera": int(file[6])}
                sink.write({"__key__": f"{folder.name}_{file[:-4]}", "jpg": data, "json": label})


def read_files(root: Path) -> None:
    """Open and read each file, and nothing else."""
    for folder in sorted(root.iterdir()):
        for file in sorted(os.listdir(folder)):  # noqa: PTH208
            descriptor = os.open(f"{folder}/{file}", os.O_RDONLY)
            os.read(descriptor, 1 << 20)
            os.close(descriptor)


def check_images(images: Sequence[bytes], crops: int) -> None:
    """Check as many images as there are crops, a hundred at a time."""
    for first in range(0, crops, 100):
        check_jpegs([images[number % len(images)] for number in range(first, min(first + 100, crops))])


def hash_bytes(size: int) -> None:
    """Make the digest of as many bytes."""
    digest, block = hashlib.sha256(), bytes(2**18)
    for _ in range(size // len(block)):
        digest.update(block)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; return 1 where the ratio is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=20_000, help="in the folder (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs (default: %(default)s)")
    arguments = parser.parse_args(argv)
    kind = SOURCES["crops-folder"]
    options = kind.make_options({})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root, out = Path(folder, "source"), Path(folder, "out")
        write_folder(root, arguments.crops)
        images = render_images()
        written: list[int] = []

        def convert() -> None:
            convert_source(kind, root, out, options)
            written.append(sum(tar.stat().st_size for tar in out.rglob("*.tar")))

        ways: dict[str, Callable[[], object]] = {
            OURS: convert,
            SCRIPT: lambda: run_script(root, out),
            READING: lambda: read_files(root),
            CHECK: lambda: check_images(images, arguments.crops),
            HASHING: lambda: hash_bytes(written[-1]),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(arguments.rounds + 1):
            for name, way in ways.items():
                shutil.rmtree(out, ignore_errors=True)
                seconds = processor_seconds(way)
                if turn:  # the first turn imports
                    spent[name].append(seconds)
    medians = {name: statistics.median(seconds) for name, seconds in spent.items()}
    sys.stdout.write(f"a folder of {arguments.crops:,} crops, page cache warm, one core\n")
    for name, seconds in medians.items():
        each = 1e6 * seconds / arguments.crops
        sys.stdout.write(f"{name:18} {each:7.1f} us a crop, {seconds / medians[OURS]:5.2f}x the conversion\n")
    floor = medians[READING] + medians[CHECK] + medians[HASHING]
    sys.stdout.write(f"of the script's time, what no conversion can do without: {floor / medians[SCRIPT]:.0%}\n")
    ratio = medians[SCRIPT] / medians[OURS]
    sys.stdout.write(f"at least {WANTED}x: {'kept' if ratio >= WANTED else f'missed, {ratio:.1f}x'}\n")
    return int(ratio < WANTED)


if __name__ == "__main__":
    sys.exit(main())
