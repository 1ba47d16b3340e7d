"""Read one epoch and measure it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shards_spec.stream.pipeline import Stream


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Measurements of an epoch."""

    samples: int
    bytes: int
    """Size of all images and sidecars that were yielded."""
    seconds: float
    first_batch_seconds: float
    """Time from the beginning to the first batch, including the start of workers."""
    skipped: int

    @property
    def samples_per_second(self) -> float:
        """Mean rate over the whole epoch."""
        return self.samples / self.seconds if self.seconds else 0.0


def run_epoch(
    stream: Stream, batch_size: int = 64, workers: int = 0, progress: Callable[[int], None] | None = None
) -> EpochReport:
    """Read the next epoch of a stream of samples and measure it.

    Args:
        stream: Stream without further stages that change samples.
        batch_size: Number of samples in a batch.
        workers: Number of processes that read, which need PyTorch; 0 reads in this process, with or without PyTorch.
        progress: Function that is called with the number of samples of each batch.
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
    return EpochReport(samples, source.selection.file_bytes(), seconds, first, stream.skipped)


def _size(batch: list[Any]) -> int:
    """Return the size of a batch. Batches stay where they were made, because only reading is measured."""
    return len(batch)
