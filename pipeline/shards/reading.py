"""Reading the rows of a shard: the contents of each row's entries, as soon as all of them are there."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.archives import EntryRequest, ReadCounters, read_entries
from pipeline.sources.converter import Content, Converter
from shards_spec.storage import Store

WAITING_BYTES = 256 << 20
"""Bytes that may wait in memory for the other entries of their rows. Rows of one entry never wait."""


def read_rows(
    store: Store, converter: Converter[Any], rows: Sequence[Any], counters: ReadCounters | None = None
) -> Iterator[tuple[int, list[Content]]]:
    """Read what rows are made from, in the physical order of the entries.

    The entries of a row may lie far from each other. So that few contents wait for others, rows of several entries are
    read in batches, each in physical order.

    Args:
        store: The store with the source.
        converter: The working part of the source.
        rows: The rows to read, as ``converter.rows`` gives them.
        counters: Counters to add to while reading.

    Yields:
        The position in ``rows``, and the contents of the row's entries in the order of ``converter.entries``.
    """
    for batch in _batches([converter.entries(row) for row in rows]):
        yield from _read_batch(store, batch, counters)


def _batches(entries: Sequence[Sequence[EntryRequest]]) -> Iterator[list[tuple[int, Sequence[EntryRequest]]]]:
    """Yield the positions and entries of rows, so that those of a batch which may have to wait are in bounds."""
    batch: list[tuple[int, Sequence[EntryRequest]]] = []
    waiting = 0
    for position, requests in enumerate(entries):
        size = sum(request.used_bytes() for request in requests) if len(requests) > 1 else 0
        if batch and waiting + size > WAITING_BYTES:
            yield batch
            batch, waiting = [], 0
        batch.append((position, requests))
        waiting += size
    yield batch


def _read_batch(
    store: Store, batch: Sequence[tuple[int, Sequence[EntryRequest]]], counters: ReadCounters | None
) -> Iterator[tuple[int, list[Content]]]:
    requests = [request for _, own in batch for request in own]
    wanted = [(position, number, len(own)) for position, own in batch for number in range(len(own))]
    waiting: dict[int, dict[int, Content]] = {}
    for request, content in read_entries(store, requests, counters):
        position, number, count = wanted[request]
        if count == 1:
            yield position, [content]
            continue
        contents = waiting.setdefault(position, {})
        contents[number] = content
        if len(contents) == count:
            del waiting[position]
            yield position, [contents[number] for number in range(count)]
    assert not waiting, f"{len(waiting)} rows lack entries"
