"""What workers of one stream agree on, whoever comes first."""

import multiprocessing
import pickle
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from shards_spec.errors import UsageError
from shards_spec.stream.control import Control, Iteration
from shards_spec.stream.sharing import Topology
from shards_spec.stream.state import Progress, State


def state(epoch: int) -> State:
    return State(version=1, order={}, progress=Progress.begin(epoch, 10, Topology(1, 1), "uneven"), rank=0)


def test_a_token_is_an_iteration() -> None:
    control = Control()
    asked = [("a", 0), ("b", 0), ("a", 1), ("c", 0), ("b", 1)]
    assert [control.take(token, worker).epoch for token, worker in asked] == [0, 1, 0, 2, 1]
    control.set(7, state(7))
    assert control.next_iteration() == (7, state(7))
    assert control.take("d").resume == state(7)
    assert control.take("e") == Iteration(8, None, times_set=1)
    assert control.take("d", 1).resume == state(7)


def test_who_asks_again_with_a_token_begins_another() -> None:
    """PyTorch's seed, which is a bare DataLoader's token, may be the same in each epoch."""
    control = Control()
    assert [control.take("seed", worker).epoch for worker in (0, 1, 1, 0, 2)] == [0, 0, 1, 1, 1]
    assert [control.enter("seed", state(7), worker).epoch for worker in (2, 0)] == [7, 7]
    assert control.take("seed", 0).epoch == 8


def test_what_is_said_in_between_supersedes_an_iteration() -> None:
    control = Control()
    iteration = control.take("a")
    control.count_skipped(3)
    assert not control.is_superseded(iteration)
    control.set(5)
    assert control.is_superseded(iteration)
    assert not control.is_superseded(control.take("b"))
    assert control.take("c") == Iteration(6, None, times_set=1, skipped=3)


def test_what_is_no_epoch_changes_nothing() -> None:
    control = Control()
    numpys: Any = np.int64(3)
    control.set(numpys)
    for epoch in (1.5, "4", -1, 2**63):
        with pytest.raises(UsageError, match="epoch"):
            control.set(epoch)  # type: ignore[arg-type]
    assert control.next_iteration() == (3, None)


def test_a_worker_that_goes_on_by_itself_says_which_epoch_follows() -> None:
    control = Control()
    assert control.enter("a", state(4), 0).epoch == 4
    assert control.enter("a", state(4), 1).epoch == 4
    assert control.take("b").epoch == 5


def test_many_iterations_do_not_make_it_grow() -> None:
    control = Control()
    for number in range(200):
        assert control.take(str(number)).epoch == number
    assert control.take("199", 1).epoch == 199
    assert len(pickle.dumps(control)) < 1000


class _Epochs(IterableDataset[int]):
    """What workers of a bare DataLoader are told: the epoch, three times over."""

    def __init__(self, control: Control) -> None:
        self.control = control

    def __iter__(self) -> Iterator[int]:
        worker: Any = get_worker_info()
        self.control.count_skipped(1)
        return iter([self.control.take(str(worker.seed - worker.id), worker.id).epoch] * 3)


def _work(control: Control, queue: Any) -> None:
    epochs = [[int(batch[0]) for batch in DataLoader(_Epochs(control), 3, num_workers=2)] for _ in range(2)]
    queue.put((epochs, control.skipped, control.next_iteration()[0]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_share_it_and_other_processes_go_on_by_themselves(method: str) -> None:
    """Such as ranks: each would otherwise count the others' epochs as its own."""
    context: Any = multiprocessing.get_context(method)
    control, queue = Control(), context.Queue()
    control.set(4)
    processes = [context.Process(target=_work, args=(control, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    control.take("of this process")
    for _ in processes:
        assert queue.get(timeout=120) == ([[4, 4], [5, 5]], 4, 6)
    for process in processes:
        process.join()
    assert control.next_iteration() == (5, None)
    assert control.skipped == 0
    queue.close()
    queue.join_thread()


def test_a_copy_elsewhere_is_its_own() -> None:
    control = Control()
    control.set(3)
    other = pickle.loads(pickle.dumps(control))
    control.take("a")
    assert other.take("a").epoch == 3


def test_threads_take_turns() -> None:
    control = Control()

    def work(number: int) -> None:
        for step in range(200):
            control.take(f"{number}/{step}")
            control.count_skipped(1)
            assert control.skipped > 0

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (control.skipped, control.next_iteration()) == (800, (800, None))
