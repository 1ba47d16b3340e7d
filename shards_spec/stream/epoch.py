"""One epoch, measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shards_spec.stream.pipeline import Stream


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What an epoch took."""

    samples: int
    bytes: int
    """Of images and sidecars handed out."""
    seconds: float
    first_batch_seconds: float
    """From the beginning to the first batch: workers that start are in it."""
    skipped: int

    @property
    def samples_per_second(self) -> float:
        """Over the whole epoch."""
        return self.samples / self.seconds if self.seconds else 0.0


def run_epoch(
    stream: Stream, batch_size: int = 64, workers: int = 0, progress: Callable[[int], None] | None = None
) -> EpochReport:
    """Read the next epoch of a stream of samples and measure it.

    Args:
        stream: With nothing behind it that changes samples.
        batch_size: Samples a batch.
        workers: Processes that read, which need PyTorch; 0 reads in this one, with or without it.
        progress: Called with the number of samples of each batch.
    """
    source = stream.source
    samples = 0
    first = 0.0
    begin = time.perf_counter()
    batches: Any = (
        stream.loader(batch_size, workers, collate_fn=_size) if workers else stream.batched(batch_size, _size)
    )
    for size in batches:
        samples += size
        first = first or time.perf_counter() - begin
        if progress is not None:
            progress(size)
    seconds = time.perf_counter() - begin
    return EpochReport(samples, source.selection.member_bytes(), seconds, first, stream.skipped)


def _size(batch: list[Any]) -> int:
    """Batches stay where they were made: what is measured is reading."""
    return len(batch)
