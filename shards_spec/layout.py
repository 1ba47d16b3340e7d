"""Where things lie below OUT."""

from shards_spec.index import INDEX_FILE
from shards_spec.manifest import REJECTS_FILE

CARD_FILE = "README.md"
"""The dataset card."""
SET_FILES = frozenset({CARD_FILE, REJECTS_FILE})
"""Files of every set beside the manifest, the shards and the indexes; the manifest's ``files`` has their digests."""
WORK_FOLDER = ".work"
"""What a continued run needs; readers do not look there, and it may be deleted once the set is complete."""
REPORT_FILE = "report.html"


def shard_name(cell: str, number: int) -> str:
    """Name of a shard: its cell and its number there."""
    return f"{cell}-{number:06d}"


def shard_file(cell: str, number: int) -> str:
    """Path of a shard relative to OUT."""
    return f"{cell}/{shard_name(cell, number)}.tar"


def index_file(cell: str) -> str:
    """Path of a cell's index relative to OUT."""
    return f"{cell}/{INDEX_FILE}"
