"""What the crop core is worth: its CPU time a frame against Pillow-SIMD's and libjpeg-turbo's, for the same boxes.

    python -m tests.benchmarks.bench_crop [--frames DIR]

All ways take turns on each two frames, in one thread and one run, so that a noisy machine is noisy to all of them; what
counts is the ratio of the medians. Without a folder of frames, it renders some: 1920x1080, 4:2:0, standard Huffman
tables, at about 235 KB a frame with the spectrum of photographs.
"""

import argparse
import io
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.crop.bitstream import crop_jpeg, crop_jpegs, read_header
from shards_spec.geometry import Rectangle, plan_lossless, plan_reencode
from tests.benchmarks.lossless_transform import LosslessTransform, library_name

Box = tuple[float, float, float, float]
FRAME_SIZE = (1920, 1080)
FRAME_BYTES = 235_000
BOXES_PER_FRAME = 4
SINGLY, IN_PAIRS = "bitstream, singly", "bitstream, in pairs"
TARGETS = {"Pillow-SIMD": 7.0, "lossless transform": 3.5}
"""How many times longer than the bitstream way, frame by frame, the others must take at least."""


def render_frame(seed: int) -> bytes:
    """Renders a frame and encodes it at the quality that brings it nearest to `FRAME_BYTES`."""
    image = Image.fromarray(_render_pixels(np.random.default_rng(seed)))
    encoded = {quality: _encode(image, quality) for quality in range(50, 97, 2)}
    return min(encoded.values(), key=lambda data: abs(len(data) - FRAME_BYTES))


def _render_pixels(generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Noise with a photograph's spectrum, busy in some places and flat in others, behind objects with hard edges."""
    width, height = FRAME_SIZE
    rows, columns = np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij")
    frequency = np.maximum(np.hypot(rows, columns), 1 / width)

    def noise(exponent: float) -> npt.NDArray[np.float64]:
        phases = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
        field: npt.NDArray[np.float64] = np.fft.irfft2(phases * frequency**-exponent, s=(height, width))
        return np.asarray((field - field.mean()) / field.std())

    busy = np.exp(1.2 * noise(1.8))
    luma = 128 + 45 * noise(1.7) + 7 * busy * noise(0.8)
    image = np.stack([luma + 18 * noise(1.9) + 2 * busy * noise(0.9) for _ in range(3)], axis=2)
    for _ in range(40):
        left, top = generator.integers(0, width - 60), generator.integers(0, height - 60)
        object_width, object_height = generator.integers(20, 200), generator.integers(40, 400)
        image[top : top + object_height, left : left + object_width] += generator.normal(scale=40, size=3)
    return np.clip(image, 0, 255).astype(np.uint8)


def _encode(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def person_boxes(seed: int, frame_size: tuple[int, int]) -> list[Box]:
    """Upright boxes as City1M labels them, on a frame of any size."""
    generator = random.Random(seed)
    width, height = frame_size
    boxes = []
    for _ in range(BOXES_PER_FRAME):
        box_height = height * generator.uniform(0.15, 0.4)
        box_width = min(box_height * generator.uniform(0.35, 0.7), width)
        boxes.append(
            (
                generator.uniform(0, width - box_width),
                generator.uniform(0.1, 0.95) * (height - box_height),
                box_width,
                box_height,
            )
        )
    return boxes


def crop_pixels(data: bytes, rectangles: Sequence[Rectangle]) -> list[bytes]:
    """Decodes, crops and encodes anew with Pillow."""
    crops = []
    with Image.open(io.BytesIO(data)) as image:
        for rectangle in rectangles:
            buffer = io.BytesIO()
            image.crop((rectangle.left, rectangle.top, rectangle.right, rectangle.bottom)).save(
                buffer, "JPEG", quality=95
            )
            crops.append(buffer.getvalue())
    return crops


class _Job(NamedTuple):
    """A frame and its boxes, as the bitstream ways and as Pillow cut them."""

    data: bytes
    lossless: list[Rectangle]
    reencoded: list[Rectangle]


def _plan(seed: int, data: bytes) -> _Job | None:
    header = read_header(data)
    if header.ineligible:
        return None
    size = (header.width, header.height)
    mcu_size = (header.mcu_width, header.mcu_height)
    subsampled = (header.subsampled_horizontally, header.subsampled_vertically)
    boxes = person_boxes(seed, size)
    lossless = [plan_lossless(box, 0, size, mcu_size, subsampled) for box in boxes]
    reencoded = [plan_reencode(box, 0, size) for box in boxes]
    return _Job(data, [plan.crop for plan in lossless if plan], [plan.crop for plan in reencoded if plan])


def measure(frames: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds a frame, by way: for each two frames, the median over all rounds."""
    transform = LosslessTransform()
    ways: dict[str, Callable[[Sequence[_Job]], object]] = {
        SINGLY: lambda jobs: [crop_jpeg(job.data, job.lossless) for job in jobs],
        IN_PAIRS: lambda jobs: crop_jpegs([(job.data, job.lossless) for job in jobs]),
        "Pillow-SIMD": lambda jobs: [crop_pixels(job.data, job.reencoded) for job in jobs],
        "lossless transform": lambda jobs: [transform.crop(job.data, job.lossless) for job in jobs],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    jobs = [job for seed, data in enumerate(frames) if (job := _plan(seed, data))]
    for pair in zip(jobs[::2], jobs[1::2], strict=False):
        samples: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.process_time()
                way(pair)
                samples[name].append(1000 * (time.process_time() - start) / len(pair))
        for name in ways:
            times[name].append(statistics.median(samples[name]))
    return times


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the figures; returns 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, help="a folder of JPEGs, instead of rendered frames")
    parser.add_argument("--count", type=int, default=12, help="how many frames (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each frame is cut (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if library_name() is None:
        sys.stderr.write("libturbojpeg is not installed (Debian: libturbojpeg0): nothing to compare with\n")
        return 2
    if arguments.frames:
        paths = sorted(p for p in arguments.frames.iterdir() if p.suffix.lower() in {".jpg", ".jpeg"})
        frames = [path.read_bytes() for path in paths[: arguments.count]]
    else:
        frames = [render_frame(seed) for seed in range(arguments.count)]
    times = measure(frames, arguments.rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    kilobytes = statistics.mean(map(len, frames)) / 1000
    count = 2 * len(times[SINGLY])
    sys.stdout.write(f"{count} frames, {kilobytes:.0f} KB on average, {BOXES_PER_FRAME} boxes each\n")
    for name in (SINGLY, IN_PAIRS):
        sys.stdout.write(f"{name:20} {medians[name]:7.3f} ms a frame\n")
    missed = 0
    for name, target in TARGETS.items():
        singly, in_pairs = medians[name] / medians[SINGLY], medians[name] / medians[IN_PAIRS]
        missed += singly < target
        ratios = f"{singly:.1f}x singly, target {target}x; {in_pairs:.1f}x in pairs"
        sys.stdout.write(f"{name:20} {medians[name]:7.3f} ms a frame: {ratios}\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
