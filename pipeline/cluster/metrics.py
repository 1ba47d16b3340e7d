"""What workers count, for Ray's own Prometheus endpoint."""

import functools
from dataclasses import dataclass

from ray.util.metrics import Counter, Histogram

from pipeline.shards.record import ShardRecord

COUNTED = {
    "frames": ("frames", "Frames that gave a crop"),
    "samples": ("crops", "Crops written"),
    "rejected_members": ("rejected_members", "Labelled members that gave no crop"),
    "requests": ("read_requests", "Ranges read from the archives"),
    "bytes_read": ("read_bytes", "Bytes read from the archives"),
    "bytes_used": ("used_bytes", "Bytes of frames among them, as packed in the archives"),
    "bytes": ("written_bytes", "Bytes of shards written"),
}
"""Field of ``ShardRecord`` to a counter's name, behind ``reid_shards_``, and what it counts."""

SHARD_BOUNDARIES = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
"""Seconds; a shard takes some."""


@dataclass(frozen=True, slots=True)
class _Metrics:
    counters: dict[str, Counter]
    """By field of ``ShardRecord``."""
    stages: Counter
    shards: Histogram


@functools.cache  # one of each in a process, made in the first one that has something to count
def _metrics() -> _Metrics:
    return _Metrics(
        counters={
            field: Counter(f"reid_shards_{name}", description=description, tag_keys=("cell",))
            for field, (name, description) in COUNTED.items()
        },
        # A counter, as the sum of a histogram of Ray's is made up from its buckets.
        stages=Counter("reid_shards_stage_seconds", description="Seconds that stages took", tag_keys=("stage",)),
        shards=Histogram("reid_shards_shard_seconds", description="Seconds a shard", boundaries=SHARD_BOUNDARIES),
    )


def count_shard(record: ShardRecord) -> None:
    """Count a shard that this worker has made."""
    metrics = _metrics()
    for field, counter in metrics.counters.items():
        _add(counter, getattr(record, field), {"cell": record.cell})
    for stage, seconds in record.seconds.items():
        _add(metrics.stages, seconds, {"stage": stage})
    metrics.shards.observe(record.seconds["total"])


def _add(counter: Counter, amount: float, tags: dict[str, str]) -> None:
    if amount > 0:  # Ray's counters take no zero
        counter.inc(amount, tags=tags)
