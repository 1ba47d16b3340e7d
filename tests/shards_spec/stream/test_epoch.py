"""Measuring an epoch."""

import pytest

from shards_spec.stream import Dataset
from shards_spec.stream.epoch import run_epoch


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_counted(dataset: Dataset, workers: int) -> None:
    stream = dataset.stream(split="gallery")
    seen: list[int] = []
    report = run_epoch(stream, batch_size=16, workers=workers, progress=seen.append)
    assert report.samples == sum(seen) == len(stream.source.selection.rows)
    assert report.bytes == stream.source.selection.file_bytes()
    assert 0 < report.first_batch_seconds <= report.seconds
    assert report.samples_per_second > 0
    assert report.skipped == 0


def test_an_empty_split_takes_no_time(dataset: Dataset) -> None:
    report = run_epoch(dataset.stream(rank=500, world_size=501, tail="drop"))
    assert report.samples == 0
