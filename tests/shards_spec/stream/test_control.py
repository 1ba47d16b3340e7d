"""What workers of one stream agree on, whoever comes first."""

import multiprocessing
import pickle
from typing import Any

import numpy as np
import pytest

from shards_spec.errors import UsageError
from shards_spec.stream.control import Control
from shards_spec.stream.sharing import Layout
from shards_spec.stream.state import Progress, State


def state(epoch: int) -> State:
    return State(version=1, order={}, progress=Progress.begin(epoch, 10, Layout(1, 1), "uneven"), rank=0)


def test_a_token_is_an_iteration() -> None:
    control = Control()
    assert [control.take(token).epoch for token in ("a", "b", "a", "c", "b")] == [0, 1, 0, 2, 1]
    control.set(7, state(7))
    assert control.next_iteration() == (7, state(7))
    assert control.take("d").resume == state(7)
    assert control.take("e") == ("e", 8, None)
    assert control.take("d").resume == state(7)


def test_what_is_no_epoch_changes_nothing() -> None:
    control = Control()
    numpys: Any = np.int64(3)
    control.set(numpys)
    for epoch, error in ((1.5, TypeError), ("4", TypeError), (-1, UsageError), (2**63, UsageError)):
        with pytest.raises(error):
            control.set(epoch)  # type: ignore[arg-type]
    assert control.next_iteration() == (3, None)


def test_a_worker_that_goes_on_by_itself_says_which_epoch_follows() -> None:
    control = Control()
    assert control.enter("a", state(4)).epoch == 4
    assert control.enter("a", state(4)).epoch == 4
    assert control.take("b").epoch == 5


def test_many_iterations_do_not_make_it_grow() -> None:
    control = Control()
    for number in range(200):
        assert control.take(str(number)).epoch == number
    assert control.take("199").epoch == 199
    assert len(pickle.dumps(control)) < 1000


def _work(control: Control, queue: Any) -> None:
    control.count_skipped(1)
    queue.put([control.take(str(number)).epoch for number in range(20)])


def test_processes_share_it_forked_and_spawned() -> None:
    for method in ("fork", "spawn"):
        context: Any = multiprocessing.get_context(method)
        control, queue = Control(), context.Queue()
        processes = [context.Process(target=_work, args=(control, queue)) for _ in range(3)]
        for process in processes:
            process.start()
        answers = [queue.get(timeout=60) for _ in processes]
        for process in processes:
            process.join()
        assert answers == [list(range(20))] * 3
        assert control.skipped == 3
        queue.close()
        queue.join_thread()


def test_a_copy_elsewhere_is_its_own() -> None:
    control = Control()
    control.set(3)
    other = pickle.loads(pickle.dumps(control))
    control.take("a")
    assert other.take("a").epoch == 3
