"""Streams of keys, through functions that spawned workers find."""

from typing import Any

from shards_spec.stream import Dataset
from shards_spec.stream.pipeline import Stream


def key_of(sample: dict[str, Any]) -> str:
    return str(sample["__key__"])


def as_list(samples: list[Any]) -> list[Any]:
    return samples


def key_stream(dataset: Dataset, **options: Any) -> Stream:
    stream: Stream = dataset.stream(**options).map(key_of)
    return stream
