"""Reading the rows of a shard: the contents of each row's entries, as soon as all of them are there."""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from pipeline.archives import EntryRequest, ReadCounters, read_batches
from pipeline.sources.converter import Content, Converter
from shards_spec.storage import Store

WAITING_BYTES = 256 << 20
"""Bytes that may wait in memory for the other entries of their rows. Rows of one entry never wait."""


def read_rows(
    store: Store, converter: Converter[Any], rows: Sequence[Any], counters: ReadCounters | None = None
) -> Iterator[tuple[list[int], list[Sequence[Content]]]]:
    """Read what rows are made from, in the physical order of the entries, some rows at a time.

    The entries of a row may lie far from each other. So that few contents wait for others, rows of several entries are
    read in batches, each in physical order.

    Args:
        store: The store with the source.
        converter: The working part of the source.
        rows: The rows to read, as ``converter.rows`` gives them.
        counters: Counters to add to while reading.

    Yields:
        For some rows, their positions in ``rows``, and for each the contents of its entries in the order of
        ``converter.entries``.
    """
    entries = [converter.entries(row) for row in rows]
    requests = list(chain.from_iterable(entries))
    if len(requests) == len(rows):  # each row has at least one
        with contextlib.closing(read_batches(store, requests, counters)) as batches:
            for positions, contents in batches:
                yield positions, list(zip(contents))
        return
    for some in _in_bounds(entries):
        yield from _read_some(store, some, counters)


def _in_bounds(entries: Sequence[Sequence[EntryRequest]]) -> Iterator[list[tuple[int, Sequence[EntryRequest]]]]:
    """Yield the positions and entries of rows, so that those which may have to wait together are in bounds."""
    some: list[tuple[int, Sequence[EntryRequest]]] = []
    waiting = 0
    for position, requests in enumerate(entries):
        size = sum(request.used_bytes() for request in requests) if len(requests) > 1 else 0
        if some and waiting + size > WAITING_BYTES:
            yield some
            some, waiting = [], 0
        some.append((position, requests))
        waiting += size
    yield some


def _read_some(
    store: Store, some: Sequence[tuple[int, Sequence[EntryRequest]]], counters: ReadCounters | None
) -> Iterator[tuple[list[int], list[Sequence[Content]]]]:
    requests = [request for _, own in some for request in own]
    wanted = [(position, number, len(own)) for position, own in some for number in range(len(own))]
    waiting: dict[int, dict[int, Content]] = {}
    with contextlib.closing(read_batches(store, requests, counters)) as batches:
        for batch in batches:
            complete = []
            for request, content in zip(*batch, strict=True):
                position, number, count = wanted[request]
                contents = waiting.setdefault(position, {})
                contents[number] = content
                if len(contents) == count:
                    del waiting[position]
                    complete.append((position, [contents[number] for number in range(count)]))
            if complete:
                yield [position for position, _ in complete], [own for _, own in complete]
    assert not waiting, f"{len(waiting)} rows lack entries"
