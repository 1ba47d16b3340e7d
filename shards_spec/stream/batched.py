"""The stage of a pipeline that groups samples into batches."""

from collections.abc import Callable, Iterator
from typing import Any


class Batched:
    """A stage that yields each batch as soon as it is full, so that a state never counts a sample too many."""

    def __init__(self, size: int, collation_fn: Callable[[list[Any]], Any] | None, partial: bool) -> None:
        self._size = size
        self._collate = collation_fn
        self._partial = partial

    def __call__(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Yield the batches of ``samples``."""
        batch: list[Any] = []
        for sample in samples:
            batch.append(sample)
            if len(batch) == self._size:
                yield batch if self._collate is None else self._collate(batch)
                batch = []
        if batch and self._partial:
            yield batch if self._collate is None else self._collate(batch)
