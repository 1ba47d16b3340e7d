"""The metrics that workers report to Ray's own Prometheus endpoint."""

import functools
from dataclasses import dataclass

from ray.util.metrics import Counter, Histogram

from pipeline.shards.record import ShardRecord

COUNTED = {
    "units": ("units", "Units that gave a sample"),
    "samples": ("samples", "Samples written"),
    "rejected_samples": ("rejected_samples", "Samples that were rejected"),
    "requests": ("read_requests", "Ranges read from the archives"),
    "bytes_read": ("read_bytes", "Bytes read from the archives"),
    "bytes_used": ("used_bytes", "Bytes of frames among them, as packed in the archives"),
    "bytes": ("written_bytes", "Bytes of shards written"),
}
"""For each counted field of ``ShardRecord``, the counter's name after ``reid_shards_``, and what it counts."""

SHARD_BOUNDARIES = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
"""Bucket boundaries in seconds; a shard takes a few seconds."""


@dataclass(frozen=True, slots=True)
class _Metrics:
    counters: dict[str, Counter]
    """Counters by field of ``ShardRecord``."""
    stages: Counter
    shards: Histogram


@functools.cache  # each process has one of each, made when there is first something to count
def _metrics() -> _Metrics:
    return _Metrics(
        counters={
            field: Counter(f"reid_shards_{name}", description=description, tag_keys=("cell",))
            for field, (name, description) in COUNTED.items()
        },
        # This is a counter because the sum of Ray's histograms is only estimated from their buckets.
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
