"""Parts of a survey are done wherever there is room for them, and what is done is kept."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.archives import KeptResults, Part, ProcessTasks, SerialTasks, Tasks, tasks
from shards_spec.storage import LocalStore, ReadableStore


def read_length(store: ReadableStore, argument: tuple[str, int]) -> pa.Table:
    """The work of these tests: a file's size, many times."""
    name, times = argument
    (log := Path(store.url, "done")).touch()
    with log.open("a") as file:
        file.write(f"{name}\n")
    return pa.table({"size": [store.size(name)] * times})


def fail(store: ReadableStore, argument: object) -> pa.Table:
    raise OSError(f"{store.url} is gone, and with it {argument}")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(7):
        (folder / f"file{number}").write_bytes(bytes(number))
    return LocalStore(folder)


@pytest.fixture(autouse=True)
def few_are_enough_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PARTS_FOR_OTHERS", 4)


@pytest.fixture
def parts() -> list[Part]:
    return [Part(f"length of file{number}", (f"file{number}", 3)) for number in range(7)]


def results(own: Tasks, parts: Sequence[Part]) -> dict[int, list[int]]:
    return {position: table["size"].to_pylist() for position, table in own.run(read_length, parts)}


def done(store: LocalStore) -> list[str]:
    return sorted(Path(store.url, "done").read_text().split())


@pytest.mark.parametrize("count", [1, 7], ids=["here", "in processes"])
def test_each_part_is_done_once_and_kept(tmp_path: Path, store: LocalStore, parts: list[Part], count: int) -> None:
    kept = KeptResults(LocalStore(tmp_path / "kept"), "parts")
    wanted = {number: [number] * 3 for number in range(count)}
    assert results(SerialTasks(store), parts[:count]) == wanted
    Path(store.url, "done").unlink()
    assert results(ProcessTasks(store, kept, 2), parts[:count]) == wanted
    assert results(ProcessTasks(store, kept, 2), parts[:count]) == wanted
    assert done(store) == [f"file{number}" for number in range(count)]


def test_what_is_damaged_or_of_another_name_is_done_again(tmp_path: Path, store: LocalStore, parts: list[Part]) -> None:
    kept = KeptResults(LocalStore(tmp_path / "kept"), "parts")
    own = ProcessTasks(store, kept, 1)
    results(own, parts[:2])
    damaged, *_ = sorted((tmp_path / "kept" / "parts").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    renamed = [parts[0], parts[1]._replace(name="of another version")]
    assert results(own, renamed) == {0: [0] * 3, 1: [1] * 3}
    assert len(done(store)) >= 3


def test_a_fault_of_the_store_is_raised_and_what_was_done_before_is_kept(
    tmp_path: Path, store: LocalStore, parts: list[Part]
) -> None:
    kept = KeptResults(LocalStore(tmp_path / "kept"), "parts")
    with pytest.raises(OSError, match="is gone"):
        list(ProcessTasks(store, kept, 2).run(fail, parts))
    results(ProcessTasks(store, kept, 2), parts)
    assert len(done(store)) == 7


@pytest.mark.parametrize("count", [2, 7], ids=["here", "in processes"])
def test_a_place_that_cannot_be_written_to_costs_only_what_would_be_kept(
    tmp_path: Path, store: LocalStore, parts: list[Part], count: int
) -> None:
    (tmp_path / "kept").write_text("a file, not a folder")
    own = ProcessTasks(store, KeptResults(LocalStore(tmp_path / "kept"), "parts"), 1)
    for _ in range(2):
        assert results(own, parts[:count]) == {number: [number] * 3 for number in range(count)}
    assert len(done(store)) == 2 * count
