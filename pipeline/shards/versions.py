"""The versions of everything that affects the bytes of a set."""

import platform

import msgspec
import pyarrow as pa

from pipeline.crop.pixels import pillow_version
from shards_spec.version import __version__


def byte_bearing_versions() -> dict[str, str]:
    """Return the versions, by name, that affect the output; the plan's digest and the manifest contain them.

    Pillow and its libjpeg encode pixels, and the formats that they read decide what is rejected. msgspec writes JSON,
    and PyArrow writes Parquet. The processor architecture counts because libjpeg has SIMD code of its own for each.
    """
    return {
        "reid-shards": __version__,
        "pillow": pillow_version(),
        "msgspec": msgspec.__version__,
        "pyarrow": pa.__version__,
        "machine": platform.machine(),
    }
