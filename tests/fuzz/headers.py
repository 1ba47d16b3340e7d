"""Changes every byte of JPEGs' headers, and says whether what the crop core takes is what libjpeg takes.

    python -m tests.fuzz.headers [--values all|few]

Of every frame that the core cuts, libjpeg must decode the frame and each crop, and the crop's pixels must be the
frame's; only a frame that djpeg warns of may differ. The tests sweep a few values of each byte, this command all 256,
and it shows one crop in a hundred to djpeg as well, which may complain of a crop only as it does of the frame.
"""

import argparse
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np

from pipeline.crop.bitstream import JpegError, crop_jpegs, read_header
from shards_spec.geometry import CropPlan, plan_lossless
from shards_spec.images import ImageError, decode_jpeg
from tests.pipeline.crop.jpeg_variants import Pixels, Variant, encode, render, require, segments

SIZE = (75, 61)
BOXES = [(3.0, 5.0, 30.0, 40.0), (40.0, 20.0, 20.0, 30.0), (0.0, 0.0, 75.0, 61.0)]

VARIANTS = {
    "4:2:0": Variant(),
    "4:2:0, optimized": Variant(optimized=True),
    "4:4:4": Variant("4:4:4", quality=60),
    "4:2:2, restarts": Variant("4:2:2", restart=2),
    "grayscale": Variant("grayscale", optimized=True),
    "grayscale 2x2, restarts": Variant("grayscale 2x2", restart=3),
    "CMYK": Variant("CMYK 4:2:0", optimized=True),
    "RGB": Variant("RGB"),
    "quantisation of 16 bits": Variant("4:1:1", quality=2),
    "uneven": Variant("uneven"),
}


class MismatchError(AssertionError):
    """The core and libjpeg disagree over a file."""


def frame(name: str) -> bytes:
    """The frame of that name in ``VARIANTS``."""
    names = list(VARIANTS)
    return encode(render(*SIZE, names.index(name)), VARIANTS[name])


def single_byte_changes(data: bytes, *, all_values: bool) -> Iterator[tuple[str, bytes]]:
    """What was changed, and the file: each byte up to the scan, to a few telling values or to all."""
    for place in range(len(data) - len(segments(data)[-1][1])):
        old = data[place]
        few = {0, 255, (old + 1) & 255, (old - 1) & 255, old ^ 0x01, old ^ 0x10, old ^ 0x80}
        for value in sorted((set(range(256)) if all_values else few) - {old}):
            yield f"byte {place} from {old:02x} to {value:02x}", data[:place] + bytes([value]) + data[place + 1 :]


def inserted_segments(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What was inserted, and the file: a segment of each marker, of some sizes, before each segment."""
    places = [2]
    for _, payload in segments(data)[:-2]:
        places.append(places[-1] + 4 + len(payload))
    for place in places:
        for marker in range(256):
            for payload in (b"", b"\0\1", b"\x10\x80" * 10):
                segment = bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2) + payload
                yield f"segment {segment.hex()} at byte {place}", data[:place] + segment + data[place:]


def check(data: bytes, *, show_djpeg: bool = False) -> str:
    """Cut a file and compare; returns ``refused``, ``for the pixel path``, ``equal`` or ``different, with a warning``.

    Raises:
        MismatchError: libjpeg does not decode what the core took, or finds other pixels.
    """
    try:
        plans = _plan(data)
    except JpegError:
        return "refused"
    if plans is None:
        return "for the pixel path"
    (crops,) = crop_jpegs([(data, [plan.crop for plan in plans])])
    if isinstance(crops, JpegError):
        return "refused"
    pixels = _decoded(data, "the frame")
    equal = True
    for plan, crop in zip(plans, crops, strict=True):
        (left, top, _, _), (x, y, width, height) = plan.crop, plan.roi
        ours = _decoded(crop, "a crop")[y : y + height, x : x + width]
        equal &= np.array_equal(ours, pixels[top + y : top + y + height, left + x : left + x + width])
        if show_djpeg and not djpeg_complaints(crop) <= djpeg_complaints(data):
            raise MismatchError(f"djpeg says of a crop {djpeg_complaints(crop)}, of the frame {djpeg_complaints(data)}")
    if equal:
        return "equal"
    if djpeg_complaints(data):
        return "different, with a warning"
    raise MismatchError("a crop has other pixels than its frame, of which djpeg does not complain")


def djpeg_complaints(data: bytes) -> set[str]:
    """The lines that djpeg says of a file."""
    result = subprocess.run([require("djpeg"), "-pnm"], input=data, capture_output=True, check=False)
    lines = set(result.stderr.decode().splitlines())
    return lines if result.returncode == 0 or lines else {f"exit code {result.returncode}"}


def _plan(data: bytes) -> list[CropPlan] | None:
    header = read_header(data)
    if header.ineligible:
        return None
    mcu_size = header.mcu_width, header.mcu_height
    subsampled = header.subsampled_horizontally, header.subsampled_vertically
    plans = [plan_lossless(box, 0, (header.width, header.height), mcu_size, subsampled) for box in BOXES]
    return [plan for plan in plans if plan is not None]


def _decoded(data: bytes, what: str) -> Pixels:
    try:
        return np.atleast_3d(np.asarray(decode_jpeg(data)))
    except ImageError as error:
        raise MismatchError(f"libjpeg does not decode {what}: {error}") from error


def main() -> int:
    """Sweep all frames; print each mismatch and how often each outcome came; return 1 if there was a mismatch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", choices=["all", "few"], default="all", help="of each byte (default: %(default)s)")
    all_values = parser.parse_args().values == "all"
    mismatches = 0
    for name in VARIANTS:
        data, outcomes = frame(name), Counter[str]()
        changes = itertools.chain(single_byte_changes(data, all_values=all_values), inserted_segments(data))
        for number, (change, changed) in enumerate(changes):
            try:
                outcomes[check(changed, show_djpeg=number % 100 == 0)] += 1
            except MismatchError as mismatch:
                mismatches += 1
                sys.stdout.write(f"{name}: {change}: {mismatch}\n")
        sys.stdout.write(f"{name}: {dict(outcomes)}\n")
        sys.stdout.flush()
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
