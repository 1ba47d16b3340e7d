"""Reading the rows of a shard: the contents of each row's entries, as soon as all of them are there."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.archives import EntryRequest, ReadCounters, read_entries
from pipeline.sources.converter import Content, Converter
from shards_spec.storage import Store


def read_rows(
    store: Store, converter: Converter[Any], rows: Sequence[Any], counters: ReadCounters | None = None
) -> Iterator[tuple[int, list[Content]]]:
    """Read what rows are made from, in the physical order of the entries.

    Args:
        store: The store with the source.
        converter: The working part of the source.
        rows: The rows to read, as ``converter.rows`` gives them.
        counters: Counters to add to while reading.

    Yields:
        The position in ``rows``, and the contents of the row's entries in the order of ``converter.entries``.
    """
    requests: list[EntryRequest] = []
    wanted: list[tuple[int, int]] = []  # the row and the position among its entries, for each request
    for position, row in enumerate(rows):
        entries = converter.entries(row)
        wanted += [(position, number) for number in range(len(entries))]
        requests += entries
    counts = [0] * len(rows)
    for position, _ in wanted:
        counts[position] += 1
    waiting: dict[int, list[Content | None]] = {}
    for request, content in read_entries(store, requests, counters):
        position, number = wanted[request]
        if counts[position] == 1:
            yield position, [content]
            continue
        contents = waiting.setdefault(position, [None] * counts[position])
        contents[number] = content
        complete = [found for found in contents if found is not None]
        if len(complete) == len(contents):
            del waiting[position]
            yield position, complete
    assert not waiting, f"{len(waiting)} rows lack entries"
