"""The file that marks a folder as a demo: a look-alike of a dataset, drawn by ``reid-shards demo``."""

import json
from typing import TYPE_CHECKING, Any

from shards_spec.errors import SpecError

if TYPE_CHECKING:
    from shards_spec.storage import Store  # imports a client for object stores

MARKER = "demo.json"
MADE_BY = "reid-shards demo"
_LIMIT = 2**20


def demo_source(content: bytes) -> str | None:
    """Return the name of the kind of source that a demo looks like; None if the content marks no demo."""
    try:
        told: Any = json.loads(content)
        return str(told["source"]) if told["made_by"] == MADE_BY else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def is_demo(source: "Store") -> bool:
    """Return whether a folder is a demo."""
    try:
        return demo_source(source.read_whole(MARKER, _LIMIT)) is not None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, SpecError):
        return False
