"""The shard format: what describes, checks and streams it."""

from shards_spec.stream import Dataset, open_dataset

__all__ = ["Dataset", "open_dataset"]
