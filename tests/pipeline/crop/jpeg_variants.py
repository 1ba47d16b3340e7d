"""JPEGs of all kinds, made with what is at hand: Pillow, and cjpeg for what Pillow does not write."""

import io
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.crop.bitstream import Header

Pixels = npt.NDArray[np.uint8]

PILLOW_KINDS = ("4:4:4", "4:2:2", "4:2:0", "grayscale", "CMYK", "CMYK 4:2:0", "RGB")
CJPEG_KINDS = {
    "4:4:0": ("-sample", "1x2,1x1,1x1"),
    "4:1:1": ("-sample", "4x1,1x1,1x1"),
    "4:1:0": ("-sample", "4x2,1x1,1x1"),
    "4:2:2 from 4x1": ("-sample", "4x1,2x1,2x1"),
    "uneven": ("-sample", "2x2,1x2,2x1"),
    "swapped": ("-sample", "1x1,2x2,1x1"),
    "grayscale 2x2": ("-grayscale", "-sample", "2x2"),
    "RGB cjpeg": ("-rgb",),
}
KINDS = (*PILLOW_KINDS, *CJPEG_KINDS)


@dataclass(frozen=True)
class Variant:
    """How a JPEG is encoded. Restart intervals are in MCUs, or, negative, in MCU rows."""

    kind: str = "4:2:0"
    quality: int = 90
    optimized: bool = False
    restart: int = 0


def render(width: int, height: int, seed: int = 0, channels: int = 3) -> Pixels:
    """Smooth colour, hard edges and noise: DC differences of all sizes, blocks empty and full."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 24 + 2, width // 24 + 2, channels))
    image = coarse.repeat(24, axis=0).repeat(24, axis=1)[:height, :width].astype(np.float64)
    image += np.linspace(0, 40, width)[None, :, None]
    noisy = generator.random((height // 16 + 1, width // 16 + 1, 1)).repeat(16, axis=0).repeat(16, axis=1)
    image += noisy[:height, :width] ** 4 * generator.normal(scale=60, size=(height, width, channels))
    return np.clip(image, 0, 255).astype(np.uint8)


def require(tool: str) -> str:
    """The path of a command-line tool; skips the test where it is missing."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed (Debian: libjpeg-turbo-progs)")
    return path


def run(tool: str, *arguments: str, data: bytes) -> bytes:
    return subprocess.run([require(tool), *arguments], input=data, stdout=subprocess.PIPE, check=True).stdout


def encode(pixels: Pixels, variant: Variant) -> bytes:
    """Encode pixels of 3 channels, of which kinds with others take or repeat what they need."""
    if variant.kind in CJPEG_KINDS:
        return encode_with_cjpeg(pixels, variant, *CJPEG_KINDS[variant.kind])
    options: dict[str, object] = {"quality": variant.quality, "optimize": variant.optimized}
    if variant.restart > 0:
        options["restart_marker_blocks"] = variant.restart
    elif variant.restart < 0:
        options["restart_marker_rows"] = -variant.restart
    if variant.kind == "grayscale":
        image = Image.fromarray(pixels[:, :, 0])
    elif variant.kind.startswith("CMYK"):
        image = Image.fromarray(np.dstack([pixels, pixels[:, :, :1]]), "CMYK")
        options["subsampling"] = "4:2:0" if variant.kind.endswith("4:2:0") else "4:4:4"
    else:
        image = Image.fromarray(pixels)
        if variant.kind == "RGB":
            options |= {"keep_rgb": True, "subsampling": "4:4:4"}
        else:
            options["subsampling"] = variant.kind
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def encode_with_cjpeg(pixels: Pixels, variant: Variant, *arguments: str) -> bytes:
    options = ["-quality", str(variant.quality), *(["-optimize"] if variant.optimized else []), *arguments]
    if variant.restart:
        options += ["-restart", f"{variant.restart}B" if variant.restart > 0 else str(-variant.restart)]
    height, width = pixels.shape[:2]
    return run("cjpeg", *options, data=b"P6 %d %d 255\n" % (width, height) + pixels.tobytes())


def decode(data: bytes) -> Pixels:
    """Height x width x channels, as the JPEG has them."""
    with Image.open(io.BytesIO(data)) as image:
        return np.atleast_3d(np.asarray(image))


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """Marker and payload of every segment up to SOS, whose payload is followed by the scan."""
    found = []
    offset = 2
    while True:
        marker = data[offset + 1]
        length = int.from_bytes(data[offset + 2 : offset + 4])
        found.append((marker, data[offset + 4 : offset + 2 + length]))
        offset += 2 + length
        if marker == 0xDA:
            found.append((0, data[offset:]))
            return found


def join(parts: list[tuple[int, bytes]]) -> bytes:
    """The inverse of `segments`."""
    data = b"\xff\xd8"
    for marker, payload in parts:
        data += payload if marker == 0 else bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2) + payload
    return data


def patched_start_of_frame(patch: Callable[[bytearray], None]) -> bytes:
    """A 61x45 JPEG whose SOF segment `patch` has changed."""
    parts = segments(encode(render(61, 45), Variant()))
    changed = []
    for marker, segment in parts:
        payload = bytearray(segment)
        if marker == 0xC0:
            patch(payload)
        changed.append((marker, bytes(payload)))
    return join(changed)


def grid(header: Header, count: int, seed: int) -> list[tuple[int, int, int, int]]:
    """Rectangles that begin on the MCU grid and end anywhere, the whole frame and its last MCU among them."""
    generator = random.Random(seed)
    columns = -(-header.width // header.mcu_width)
    rows = -(-header.height // header.mcu_height)
    last = (columns - 1) * header.mcu_width, (rows - 1) * header.mcu_height
    rectangles = [(0, 0, header.width, header.height), (*last, header.width - last[0], header.height - last[1])]
    for _ in range(count):
        left = generator.randrange(columns) * header.mcu_width
        top = generator.randrange(rows) * header.mcu_height
        rectangles.append(
            (left, top, generator.randint(1, header.width - left), generator.randint(1, header.height - top))
        )
    return rectangles
