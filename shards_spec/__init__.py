"""The shard format: the code that describes, checks and streams sets of shards."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shards_spec.stream import Dataset, open_dataset

__all__ = ["Dataset", "open_dataset"]


def __getattr__(name: str) -> Any:
    """Import the reader on first use, because describing and checking shards do not need it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from shards_spec import stream  # noqa: PLC0415

    return getattr(stream, name)
