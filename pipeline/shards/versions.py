"""The versions that bear on the bytes that come out."""

import platform

import msgspec
import pyarrow as pa

from pipeline.crop.pixels import pillow_version
from shards_spec.version import __version__


def byte_bearing_versions() -> dict[str, str]:
    """Name to version of what decides over bytes: they enter the plan's digest and the manifest.

    Pillow and its libjpeg encode pixels, and what they can read decides over rejects; msgspec writes JSON, PyArrow
    writes Parquet; and libjpeg's SIMD code is the processor architecture's own.
    """
    return {
        "reid-shards": __version__,
        "pillow": pillow_version(),
        "msgspec": msgspec.__version__,
        "pyarrow": pa.__version__,
        "machine": platform.machine(),
    }
