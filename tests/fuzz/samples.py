"""Fuzzes how samples are written to a shard and put in order, under the address and undefined-behaviour sanitizers.

    python -m tests.fuzz.samples [--seconds N]

The compiled module is built anew with gcc and the sanitizers, and loaded by a Python of its own. What it writes is
compared with what `TarWriter` writes, in buffers that end where the last byte is due; what does not fit is refused.
"""

import argparse
import importlib.util
import io
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from shards_spec.tar import TarWriter

CORE = Path(__file__).parents[2] / "pipeline" / "shards" / "core"
SOURCES = [CORE / "gather.c", CORE / "module.c", CORE / "tar_write.c"]
FLAGS = [
    *("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-DPy_LIMITED_API=0x030B0000"),
    *("-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
]


def build(folder: Path) -> Path:
    """Compiles the module; returns its path."""
    target = folder / "_core.abi3.so"
    include = f"-I{sysconfig.get_path('include')}"
    try:
        command = ["gcc", *FLAGS, include, *map(str, SOURCES), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OSError(f"gcc with the sanitizers could not compile it: {getattr(error, 'stderr', error)}") from error
    return target


def fuzz(seconds: float) -> subprocess.CompletedProcess[str]:
    """Builds the module and runs the campaign with it; the exit code is 0 if nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        target = build(Path(folder))
        ask = ["gcc", "-print-file-name=libasan.so"]
        # Python itself leaks by the sanitizer's measure, and its own allocator hides where objects end.
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
        environment["LD_PRELOAD"] = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
        command = [sys.executable, "-m", "tests.fuzz.samples", "--seconds", str(seconds), "--module", str(target)]
        return subprocess.run(
            command, check=False, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, env=environment
        )


def load(path: Path) -> Any:
    """Loads the module from a path."""
    spec = importlib.util.spec_from_file_location("_core", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_sample(generator: random.Random) -> tuple[str, tuple[str, ...], tuple[bytes, ...]]:
    """A key, extensions and files; names are at most as long as a tar's header takes."""
    extensions = tuple(generator.choice(["jpg", "json", "0.png", "x" * 9]) for _ in range(generator.randrange(4)))
    longest = 99 - max(map(len, extensions), default=0)
    key = "".join(generator.choices("abcXYZ019_-", k=generator.choice([1, 20, longest])))
    sizes = (generator.choice([0, 1, 511, 512, 513, generator.randrange(4000)]) for _ in extensions)
    return key, extensions, tuple(generator.randbytes(size) for size in sizes)


def try_one(write_samples: Any, generator: random.Random) -> None:
    """Compares a list of samples with the reference, and spoils it."""
    samples = [random_sample(generator) for _ in range(generator.randrange(6))]
    keys = [sample[0] for sample in samples]
    extensions = [sample[1] for sample in samples]
    files = [sample[2] for sample in samples]
    names = [f"{key}.{one}" for key, own in zip(keys, extensions, strict=True) for one in own]
    flat = [data for own in files for data in own]
    reference = io.BytesIO()
    tar = TarWriter(reference)
    offsets = tar.add_files(names, flat) if names else np.empty(0, np.int64)
    tar.flush()
    expected = reference.getvalue()
    places = np.empty((len(flat), 2), np.int64)
    out = np.empty(len(expected), np.uint8)  # a bytearray has a byte more, which the sanitizer would not miss
    assert write_samples(keys, extensions, files, places, out.data) == len(expected)
    assert out.tobytes() == expected
    assert places.tolist() == [[offset, len(data)] for offset, data in zip(offsets.tolist(), flat, strict=True)]
    if not flat:
        return
    short = np.zeros(generator.randrange(len(expected)), np.uint8)
    assert write_samples(keys, extensions, files, places, short.data) == len(expected)
    assert not short.any()
    place = generator.choice([place for place, own in enumerate(files) if own])
    for spoilt in (
        ([*keys[:place], generator.choice(["k" * 100, "ä", "k" * 5000, ""])], extensions[: place + 1]),
        (keys, [*extensions[:place], extensions[place][1:], *extensions[place + 1 :]]),
        (keys, extensions[1:]),
        (keys[:-1], extensions),
    ):
        try:
            write_samples(*spoilt, files[: len(spoilt[0])], places, out.data)
        except ValueError:
            continue
        assert spoilt[0][-1] == ""  # a name may begin with the dot
    try:
        write_samples(keys, extensions, files, places[1:], out.data)
    except ValueError:
        return
    raise AssertionError("there were too few places")


def try_to_gather(gather_ranges: Any, generator: random.Random) -> None:
    """Compares ranges of two pieces of memory with slices, and asks for such as are not there."""
    pieces = [generator.randbytes(generator.choice([0, 1, 700, 5000])) for _ in range(2)]
    ranges = []
    for _ in range(generator.randrange(9)):
        which = generator.randrange(2)
        start = generator.randint(0, len(pieces[which]))
        ranges.append((which, start, generator.randint(0, len(pieces[which]) - start)))
    expected = b"".join(pieces[which][start : start + size] for which, start, size in ranges)
    starts = np.array([which * len(pieces[0]) + start for which, start, _ in ranges], np.int64)
    sizes = np.array([size for *_, size in ranges], np.int64)
    out = np.zeros(len(expected), np.uint8)
    assert gather_ranges(*pieces, starts, sizes, out) == len(expected)
    assert out.tobytes() == expected
    if not ranges:
        return
    place, total = generator.randrange(len(ranges)), sum(map(len, pieces))
    end = len(pieces[0]) if starts[place] < len(pieces[0]) else total  # of the piece in which the range begins
    for spoilt, value in (
        (starts, -1),
        (starts, total + 1),
        (starts, 2**63 - 1),
        (sizes, -1),
        (sizes, 2**63 - 1),
        (sizes, end - starts[place] + 1),
    ):
        kept, spoilt[place] = spoilt[place], value
        try:
            gather_ranges(*pieces, starts, sizes, np.zeros(len(expected) + 9000, np.uint8))
            raise AssertionError(f"a range from {starts[place]} of {sizes[place]} was taken")
        except ValueError:
            spoilt[place] = kept
    for arguments in ((starts[1:], sizes, out), (starts, sizes, out[:-1])):
        try:
            gather_ranges(*pieces, *arguments)
        except ValueError:
            continue
        assert not expected  # no room is enough for nothing
        assert len(arguments[0]) == len(sizes)


def main() -> int:
    """Prints what was found and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--module", type=Path, help="try this module, and build none")
    arguments = parser.parse_args()
    if arguments.module is None:
        result = fuzz(arguments.seconds)
        sys.stdout.write(result.stdout)
        return result.returncode
    module = load(arguments.module)
    end = time.monotonic() + arguments.seconds
    runs = 0
    while time.monotonic() < end or not runs:
        try_one(module.write_samples, random.Random(runs))
        try_to_gather(module.gather_ranges, random.Random(runs))
        runs += 1
    sys.stdout.write(f"{runs} runs\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
