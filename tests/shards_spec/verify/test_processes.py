"""Work is shared out over processes, and one that is killed costs no more than its own item."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards_spec.manifest import ShardFile
from shards_spec.verify import Fault, dataset, verify
from shards_spec.verify.processes import KILLED, LOST, run_in_processes
from shards_spec.verify.shard import ShardCheck, check_shard
from tests.support.processes import WAIT_SECONDS, descendants, kill, start_command, wait_until


def square(number: int) -> int:
    return number * number


def die_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(marker: str) -> str:
    path = Path(marker)
    if path.suffix == ".fatal" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def fail(number: int) -> int:
    raise ValueError(f"no {number}")


def test_every_item_has_its_result_and_few_are_taken_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    done = {}
    for number, result in run_in_processes(square, items(), 2):
        done[number] = result
        assert taken - len(done) <= 4
    assert done == {number: number * number for number in range(40)}


def test_nothing_to_do_starts_nothing() -> None:
    assert list(run_in_processes(square, [], 2)) == []


def test_what_kills_its_process_is_known_and_the_rest_is_done() -> None:
    done = dict(run_in_processes(die_on_three, range(1, 12), 2))
    assert done.pop(3) is LOST
    assert done == {number: number for number in range(1, 12) if number != 3}


def test_a_process_that_is_killed_once_costs_nothing(tmp_path: Path) -> None:
    markers = [str(tmp_path / name) for name in ("a", "b", "c.fatal", "d", "e")]
    assert sorted(map(str, dict(run_in_processes(die_once, markers, 2)).values())) == ["a", "b", "c.fatal", "d", "e"]


def test_no_thread_of_a_pool_outlives_it(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in run_in_processes(die_once, [str(tmp_path / name) for name in ("a", "b.fatal", "c")], 2):
        pass
    assert set(threading.enumerate()) <= before


def test_an_error_of_the_work_is_raised() -> None:
    with pytest.raises(ValueError, match="no 1"):
        list(run_in_processes(fail, [1], 1))


def test_verify_names_the_shard_whose_process_was_killed(set_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_one(work: object, checks: list[ShardCheck], *_: object) -> Iterator[tuple[object, object]]:
        assert work is check_shard
        for number, check in enumerate(checks):
            yield check, LOST if number == 1 else None

    monkeypatch.setattr(dataset, "run_in_processes", lose_one)
    seen: list[ShardFile | None] = []
    verdict = verify(str(set_folder), 1, seen.append)
    shards = [shard.file for cell in verdict.manifest.cells.values() for shard in cell.shards]
    assert verdict.faults == [Fault(shards[1], KILLED)]
    assert "memory" in KILLED
    assert [shard.file for shard in seen if shard] == shards


def test_verify_goes_on_where_one_of_its_processes_is_killed(set_folder: Path) -> None:
    process = start_command("verify", set_folder, "--workers", 2)

    def workers() -> list[int]:
        return [pid for pid, line in descendants(process.pid) if "spawn_main" in line]

    wait_until(lambda: process.poll() is not None or len(workers()) == 2, "processes that check shards")
    kill(workers()[0])  # while it still imports what it needs
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "every byte is as the manifest says" in output
