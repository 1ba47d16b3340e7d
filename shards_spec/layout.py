"""Paths of the files below OUT."""

from shards_spec.index import INDEX_FILE
from shards_spec.manifest import REJECTS_FILE

CARD_FILE = "README.md"
"""The dataset card."""
CROISSANT_FILE = "croissant.json"
"""The set as Croissant describes it, for search engines and loaders."""
SET_FILES = frozenset({CARD_FILE, CROISSANT_FILE, REJECTS_FILE})
"""Files of every set besides the manifest, the shards and the indexes. The manifest's ``files`` holds their digests."""
WORK_FOLDER = ".work"
"""Folder of what a resumed run needs. Readers ignore it, and it may be deleted once the set is complete."""
REPORT_FILE = "report.html"


def shard_name(cell: str, number: int) -> str:
    """Return the name of a shard, made of its cell and its number within the cell."""
    return f"{cell}-{number:06d}"


def shard_file(cell: str, number: int) -> str:
    """Return the path of a shard relative to OUT."""
    return f"{cell}/{shard_name(cell, number)}.tar"


def index_file(cell: str) -> str:
    """Return the path of a cell's index relative to OUT."""
    return f"{cell}/{INDEX_FILE}"
