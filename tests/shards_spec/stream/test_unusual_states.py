"""States that are not taken or used as they usually are: after going back, by another rank, of a rank that is ahead."""

import copy
import itertools
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from shards_spec.errors import UsageError
from shards_spec.stream import Dataset, open_dataset
from tests.support.streams import as_list, key_stream

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create . worker processes")


def _read(stream: Any, rank: int, way: str, queue: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    if way == "loader":
        stream = stream.loader(4)
    elif way == "bare":
        stream = DataLoader(stream, 4, num_workers=1, collate_fn=as_list)
    queue.put([list(stream) if way == "stream" else list(itertools.chain(*stream)) for _ in range(2)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("way", ["stream", "loader", "bare"])
def test_ranks_that_are_given_a_stream_share_its_epochs(dataset: Dataset, method: str, way: str) -> None:
    """As by ``torch.multiprocessing.spawn(train, args=(stream,))``."""
    stream = key_stream(dataset)
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [context.Process(target=_read, args=(stream, rank, way, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    told = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    for epoch in range(2):
        assert sorted(told[0][epoch] + told[1][epoch]) == sorted(key_stream(dataset))
    queue.close()
    queue.join_thread()


def test_a_random_seed_set_again_is_no_epoch_again(dataset: Dataset) -> None:
    """It is what tells the workers of a bare loader's iterations apart."""
    stream = key_stream(dataset)
    loader: Any = DataLoader(stream, 4, num_workers=2, collate_fn=as_list)
    epochs = []
    for _ in range(3):
        torch.manual_seed(0)
        epochs.append(list(loader))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    torch.manual_seed(0)
    stream.set_epoch(1)
    assert list(loader) == epochs[1]


def test_a_state_that_knows_of_its_own_rank_alone_is_refused_on_another(dataset: Dataset) -> None:
    def make(rank: int) -> Any:
        return key_stream(dataset, rank=rank, world_size=2).batched(4, None).loader()

    first, other = make(0), make(1)
    next(iter(first))
    other.load_state_dict(first.state_dict())
    with pytest.raises(UsageError, match="list of all ranks' states"):
        next(iter(other))
    again = make(0)
    again.load_state_dict(first.state_dict())
    assert next(iter(again))


def test_a_rank_cannot_know_what_another_skipped(copied: Path) -> None:
    dataset = open_dataset(copied)
    for url in dataset.urls()[1:3]:
        Path(url).unlink()

    def make(**options: Any) -> Any:
        return key_stream(dataset, shuffle=False, on_error="skip", **options).loader(2)

    loaders = [make(rank=rank, world_size=2) for rank in range(2)]
    seen = [key for loader in loaders for batch in itertools.islice(loader, 15) for key in batch]
    states = [loader.state_dict() for loader in loaders]
    other = make()
    for state in states:
        other.load_state_dict(state)
        with pytest.raises(UsageError, match="list of all ranks' states"):
            next(iter(other))
    other.load_state_dict(states)
    assert sorted([*seen, *itertools.chain(*other)]) == sorted(itertools.chain(*make()))


def test_a_state_says_what_comes_next_after_going_back(dataset: Dataset) -> None:
    stream = key_stream(dataset)
    list(itertools.islice(stream, 5))
    state = stream.state_dict()
    list(stream)
    stream.load_state_dict(state)
    assert stream.state_dict() == state
    stream.set_epoch(7)
    assert stream.state_dict()["progress"]["epoch"] == 7
    under_way = iter(stream)
    next(under_way)
    stream.set_epoch(9)  # as many do in the midst of an epoch: where that stands is what a state says until it ends
    progress = stream.state_dict()["progress"]
    assert (progress["epoch"], progress["consumed"]) == (7, [[1]])
    del under_way
    assert stream.state_dict()["progress"]["epoch"] == 9


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loaders_state_says_so_too(dataset: Dataset, workers: int) -> None:
    loader = key_stream(dataset).loader(4, workers)
    next(iter(loader))
    state = loader.state_dict()
    loader.stream.set_epoch(7)
    assert loader.state_dict()["progress"]["epoch"] == 7
    loader.stream.load_state_dict(state)
    assert loader.state_dict() == state


def test_a_bare_loaders_state_is_refused_where_samples_were_skipped(copied: Path) -> None:
    dataset = open_dataset(copied)
    Path(dataset.urls()[1]).unlink()
    stream = key_stream(dataset, on_error="skip")
    loader: Any = DataLoader(stream, 4, collate_fn=as_list)
    list(loader)
    with pytest.raises(UsageError, match=r"samples were skipped.*loader\(\) knows"):
        stream.state_dict(batches=20, batch_size=4)


@pytest.mark.parametrize(("name", "value"), [("bundle_size", 1), ("tail", "pad"), ("spans", [[0, 10**9]])])
def test_a_changed_state_is_not_believed(dataset: Dataset, name: str, value: object) -> None:
    stream = dataset.stream().identity_batches(4, 2)
    damaged = pickle.loads(pickle.dumps(stream.state_dict()))
    damaged["progress"][name] = value
    with pytest.raises(UsageError, match="damaged"):
        stream.load_state_dict(damaged)


def test_states_where_one_rank_has_ended_its_epoch(dataset: Dataset) -> None:
    seen: list[str] = []
    states = []
    for rank in range(3):
        loader = key_stream(dataset, split="query", rank=rank, world_size=3).loader(3)
        batches = iter(loader)
        for _ in range(10**3 if rank == 0 else 2):
            seen += next(batches, [])
        states.append(loader.state_dict())
    assert [state["progress"]["epoch"] for state in states] == [1, 0, 0]
    other = key_stream(dataset, split="query").loader(3)
    other.load_state_dict(states)
    assert sorted([*seen, *itertools.chain(*other)]) == sorted(key_stream(dataset, split="query"))


@pytest.mark.parametrize("copied_by", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_a_loader_that_has_iterated_can_be_copied(dataset: Dataset, copied_by: Any) -> None:
    loader = key_stream(dataset).loader(4, 2)
    epochs = [list(loader)]
    other = copied_by(loader)
    epochs += [list(loader), list(loader)]
    other.stream.set_epoch(1)
    assert list(other) == epochs[1]
    assert list(other) == epochs[2]
