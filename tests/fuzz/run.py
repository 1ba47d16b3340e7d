"""Fuzzes the crop core under the address and undefined-behaviour sanitizers.

    python -m tests.fuzz.run [--seconds N] [--corpus DIR]

With clang's libFuzzer where it is installed, otherwise with gcc and the target's own mutations. The corpus is kept and
grows from run to run; inputs that failed are written next to it.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.pipeline.crop.jpeg_variants import CJPEG_KINDS, KINDS, Variant, encode, render

FUZZ = Path(__file__).parent
CORE = FUZZ.parents[1] / "pipeline" / "crop" / "core"
SOURCES = [FUZZ / "fuzz_crop.c", *(CORE / f"{name}.c" for name in ("emit", "header", "huffman", "jpeg_crop", "skim"))]
FLAGS = [
    *("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{CORE}"),
    *("-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
]
MAX_BYTES = 16384


def write_seeds(folder: Path) -> None:
    """Writes small JPEGs of all kinds, alone and in pairs, each behind the 16 bytes that choose the rectangles."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(0)
    jpegs = {}
    kinds = [kind for kind in KINDS if kind not in CJPEG_KINDS or shutil.which("cjpeg")]
    for number, kind in enumerate(kinds):
        for variant in (Variant(kind), Variant(kind, 100, optimized=True), Variant(kind, 60, restart=2)):
            name = f"{kind}-{variant.quality}-{variant.restart}".replace(":", "").replace(" ", "-")
            jpegs[name] = encode(render(40 + number, 33, number), variant)
    names = list(jpegs)
    for name, other in zip(names, generator.sample(names, len(names)), strict=True):
        (folder / name).write_bytes(generator.randbytes(16) + jpegs[name])
        (folder / f"{name}-and-{other}").write_bytes(generator.randbytes(16) + jpegs[name] + jpegs[other])


def build(folder: Path) -> tuple[Path, bool]:
    """Compiles the target; returns its path and whether libFuzzer drives it."""
    target = folder / "fuzz_crop"
    for compiler, options in (("clang", ["-fsanitize=fuzzer"]), ("gcc", ["-DSTANDALONE"])):
        command = [compiler, *FLAGS, *options, *map(str, SOURCES), "-o", str(target), "-ljpeg"]
        if shutil.which(compiler) and subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return target, compiler == "clang"
    raise OSError("neither clang with libFuzzer nor gcc with the sanitizers could compile the target")


def fuzz(seconds: int, corpus: Path) -> subprocess.CompletedProcess[str]:
    """Builds and runs the target; its exit code is 0 if nothing was found, its findings are next to the corpus."""
    write_seeds(corpus)
    with tempfile.TemporaryDirectory() as folder:
        target, with_libfuzzer = build(Path(folder))
        if with_libfuzzer:
            limits = [
                f"-max_total_time={seconds}",
                f"-max_len={MAX_BYTES}",
                "-timeout=10",
                "-rss_limit_mb=0",
                "-malloc_limit_mb=1024",
            ]
            command = [str(target), *limits, f"-artifact_prefix={corpus.parent}/", str(corpus)]
        else:
            command = [str(target), str(seconds), *map(str, sorted(corpus.iterdir()))]
        # Not by libFuzzer's own limit: it takes the peak for its, which a process has from the one that starts it.
        environment = os.environ | {"ASAN_OPTIONS": "hard_rss_limit_mb=1024"}
        return subprocess.run(
            command, check=False, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, env=environment
        )


def main() -> int:
    """Prints what the fuzzer says and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz/corpus"), help="default: %(default)s")
    arguments = parser.parse_args()
    result = fuzz(arguments.seconds, arguments.corpus)
    sys.stdout.write(result.stdout)
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
