"""Rows of several entries, which lie anywhere in the archives."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives import EntryFault, ReadCounters, Tasks, ZipRequest, read_batches, read_zip_directory
from pipeline.options import Options
from pipeline.samples import Outcome, Sample
from pipeline.shards import reading
from pipeline.shards.reading import read_rows
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Content, Converter, Recipe
from shards_spec.storage import LocalStore, Store


class Row(NamedTuple):
    name: str
    requests: list[ZipRequest]
    samples: int = 1


class Reading(Converter[Row]):
    """Only says what to read."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        raise NotImplementedError

    def rows(self, table: pa.Table) -> list[Row]:
        raise NotImplementedError

    def entries(self, row: Row) -> Sequence[ZipRequest]:
        return row.requests

    def keys(self, row: Row) -> dict[str, int | str | None]:
        raise NotImplementedError

    def make_samples(self, rows: Sequence[Row], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        raise NotImplementedError

    def comparison(self, row: Row, contents: Sequence[Content], recipe: Recipe, **_: Any) -> Callable[[Sample], None]:
        raise NotImplementedError


def write(folder: Path, entries: int) -> list[ZipRequest]:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for number in range(entries):
            archive.writestr(f"{number}", f"content {number}" * (number % 3))
    found = read_zip_directory(LocalStore(folder), "a.zip").entries
    fields = [name for name in ZipRequest._fields if name != "archive"]
    return [ZipRequest(archive="a.zip", **entry) for entry in found.select(fields).to_pylist()]


def read_all(*arguments: Any) -> Iterator[tuple[int, list[Content]]]:
    """Yields each position with the contents of its row."""
    for positions, contents in read_rows(*arguments):
        yield from zip(positions, map(list, contents), strict=True)


def content(request: ZipRequest) -> bytes:
    return f"content {request.name}".encode() * (int(request.name) % 3)


@given(st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=5), max_size=12))
def test_each_row_comes_once_with_its_contents_in_the_order_that_it_asks_for(
    tmp_path_factory: Any, wanted: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    requests = write(folder, 20)
    rows = [Row(str(number), [requests[entry] for entry in entries]) for number, entries in enumerate(wanted)]
    found = list(read_all(LocalStore(folder), Reading(), rows))
    assert sorted(position for position, _ in found) == list(range(len(rows)))
    for position, contents in found:
        assert contents == [content(request) for request in rows[position].requests]


def test_an_entry_that_cannot_be_read_stands_in_its_place_and_what_was_read_is_counted(tmp_path: Path) -> None:
    requests = write(tmp_path, 6)
    damaged = requests[4]._replace(crc32=1)
    rows = [Row("a", [requests[5], damaged, requests[1]]), Row("b", [requests[2]])]
    counters = ReadCounters()
    found = dict(read_all(LocalStore(tmp_path), Reading(), rows, counters))
    first, second, third = found[0]
    assert (first, third) == (content(requests[5]), content(requests[1]))
    assert isinstance(second, EntryFault)
    assert found[1] == [content(requests[2])]
    assert counters.requests > 0
    assert counters.bytes_used == sum(requests[number].compressed_size for number in (1, 2, 5))


def test_few_bytes_wait_for_the_other_entries_of_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = write(tmp_path, 40)
    rows = [Row(str(number), [requests[number], requests[39 - number]]) for number in range(20)]
    at_once = dict(read_all(LocalStore(tmp_path), Reading(), rows))
    row_bytes = [sum(request.used_bytes() for request in row.requests) for row in rows]
    monkeypatch.setattr(reading, "WAITING_BYTES", max(row_bytes) + 1)
    asked: list[int] = []

    def count(store: Store, requests: Sequence[ZipRequest], counters: Any) -> Any:
        asked.append(sum(request.used_bytes() for request in requests))
        return read_batches(store, requests, counters)

    monkeypatch.setattr(reading, "read_batches", count)
    assert dict(read_all(LocalStore(tmp_path), Reading(), rows)) == at_once
    assert len(asked) > 5
    assert max(asked) <= max(row_bytes) + 1
