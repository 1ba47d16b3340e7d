"""The loader, with real workers: every sample as often as it should, and states that hold whatever was read ahead."""

import itertools
import os
import signal
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader  # type: ignore[import-untyped]

from shards_spec.errors import UsageError
from shards_spec.stream import Dataset
from shards_spec.stream.pipeline import Stream
from shards_spec.stream.sharing import TAILS
from shards_spec.stream.transfer import collate
from tests.support.streams import as_list, key_of, key_stream

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create . worker processes")


def whole(dataset: Dataset, **options: Any) -> list[str]:
    return list(key_stream(dataset, **options))


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("persistent", [False, True])
def test_epochs_through_workers(dataset: Dataset, workers: int, persistent: bool) -> None:
    if persistent and not workers:
        pytest.skip("PyTorch refuses persistent workers where there are none")
    expected = sorted(whole(dataset))
    loader = key_stream(dataset).loader(batch_size=8, num_workers=workers, persistent_workers=persistent)
    epochs = [list(loader) for _ in range(3)]
    for epoch in epochs:
        assert len(epoch) == len(loader)
        assert sorted(itertools.chain(*epoch)) == expected
    assert len({tuple(itertools.chain(*epoch)) for epoch in epochs}) == 3
    loader.stream.set_epoch(1)
    assert list(loader) == epochs[1]


def test_spawned_workers_read_the_same(dataset: Dataset) -> None:
    forked = key_stream(dataset).loader(batch_size=8, num_workers=2)
    spawned = key_stream(dataset).loader(
        batch_size=8, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
    )
    for _ in range(2):
        assert list(spawned) == list(forked)
    spawned.stream.set_epoch(0)
    forked.stream.set_epoch(0)
    iterator = iter(spawned)
    head = [next(iterator) for _ in range(3)]
    state = spawned.state_dict()
    spawned.load_state_dict(state)
    assert head + list(spawned) == list(forked)


@pytest.mark.parametrize("workers", [0, 2, 5])
def test_the_state_is_the_callers_not_the_workers(dataset: Dataset, workers: int) -> None:
    uninterrupted = [list(key_stream(dataset).loader(batch_size=4, num_workers=workers))]
    stream = key_stream(dataset)
    state = None
    handed = []
    for steps in (3, 4, 10**6):  # two resumes in a row
        loader = stream.loader(batch_size=4, num_workers=workers)
        if state is not None:
            loader.load_state_dict(state)
        handed += list(itertools.islice(iter(loader), steps))
        state = loader.state_dict()
        stream = key_stream(dataset)
    assert handed == uninterrupted[0]
    assert state is not None
    assert state["progress"]["epoch"] == 1


def test_resuming_with_other_workers_and_ranks(dataset: Dataset) -> None:
    state = None
    seen: list[str] = []
    for ranks, workers, steps in ((2, 2, 3), (1, 3, 2), (3, 1, 10**6)):
        states = []
        for rank in range(ranks):
            loader = key_stream(dataset, rank=rank, world_size=ranks).loader(batch_size=3, num_workers=workers)
            if state is not None:
                loader.load_state_dict(state)
            for batch in itertools.islice(iter(loader), steps):
                seen += batch
            states.append(loader.state_dict())
        state = states[-1] if ranks == 1 else states[0]
        if steps < 10**6 and ranks > 1:  # any rank's state will do
            assert states[0]["progress"]["consumed"] == states[1]["progress"]["consumed"]
    assert sorted(seen) == sorted(whole(dataset))


def test_a_persistent_loader_goes_back_to_a_state(dataset: Dataset) -> None:
    loader = key_stream(dataset).loader(batch_size=4, num_workers=2, persistent_workers=True)
    epochs = [list(loader) for _ in range(2)]
    loader.stream.set_epoch(0)
    iterator = iter(loader)
    head = [next(iterator) for _ in range(3)]
    state = loader.state_dict()
    next(iterator)
    loader.load_state_dict(state)
    assert head + list(loader) == epochs[0]
    assert list(loader) == epochs[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_two_iterations_at_once_are_two_epochs(dataset: Dataset, workers: int) -> None:
    loader = key_stream(dataset).loader(8, workers)
    epochs = [list(loader) for _ in range(3)]
    loader.stream.set_epoch(0)
    first, second = iter(loader), iter(loader)
    handed = list(zip(first, second, strict=True))
    assert [list(batches) for batches in zip(*handed, strict=True)] == epochs[:2]
    assert list(loader) == epochs[2]


def test_persistent_workers_refuse_a_second_iteration(dataset: Dataset) -> None:
    loader = key_stream(dataset).loader(8, 2, persistent_workers=True)
    epochs = [list(loader) for _ in range(2)]
    loader.stream.set_epoch(0)
    with pytest.raises(UsageError, match="another iteration has begun"):
        for _ in loader:
            next(iter(loader))
    unused = iter(loader)
    loader.stream.set_epoch(1)
    assert list(loader) == epochs[1]
    with pytest.raises(UsageError, match="another iteration has begun"):
        next(unused)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_bare_data_loader(dataset: Dataset, workers: int, persistent: bool) -> None:
    if persistent and not workers:
        pytest.skip("PyTorch refuses persistent workers where there are none")

    def make(stream: Stream) -> DataLoader[Any]:
        return DataLoader(stream, batch_size=4, num_workers=workers, collate_fn=as_list, persistent_workers=persistent)

    stream = key_stream(dataset)
    loader = make(stream)
    epochs = [list(loader) for _ in range(3)]
    assert all(sorted(itertools.chain(*epoch)) == sorted(whole(dataset)) for epoch in epochs)
    assert len({tuple(itertools.chain(*epoch)) for epoch in epochs}) == 3
    stream.set_epoch(1)
    head = list(itertools.islice(iter(loader), 5))
    state = stream.state_dict(batches=5, batch_size=4, num_workers=workers)
    stream.load_state_dict(state)
    assert head + list(loader) == epochs[1]
    other = key_stream(dataset)
    other.load_state_dict(state)
    assert head + list(make(other)) == epochs[1]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize("workers", [0, 2])
def test_torchdatas_stateful_loader(dataset: Dataset, workers: int) -> None:
    def make() -> StatefulDataLoader[Any]:
        return StatefulDataLoader(key_stream(dataset), batch_size=4, num_workers=workers, collate_fn=as_list)

    loader = make()
    epochs = [list(loader) for _ in range(2)]
    assert sorted(itertools.chain(*epochs[0])) == sorted(whole(dataset))
    assert epochs[0] != epochs[1]
    state, handed = None, []
    for steps in (3, 4, 10**6):
        loader = make()
        if state is not None:
            loader.load_state_dict(state)
        iterator = iter(loader)
        handed += list(itertools.islice(iterator, steps))
        state = loader.state_dict()
    assert handed == epochs[0]
    assert list(loader) == epochs[1]


def test_identity_batches_through_workers_and_a_resume(dataset: Dataset) -> None:
    stream = dataset.stream(seed=1).identity_batches(identities=4, per_identity=3)
    loader = stream.loader(num_workers=2)
    length = len(loader)  # of the epoch that comes next
    epoch = list(loader)
    assert len(epoch) == length
    for batch in epoch:
        labels = batch["label"].reshape(4, 3)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0].tolist())) == 4
        for row in range(4):
            assert len({sidecar["camera"] for sidecar in batch["json"][3 * row : 3 * row + 3]}) > 1
    assert {label for batch in epoch for label in batch["label"].tolist()} == set(range(len(stream.identities)))
    firsts = Counter(
        key for batch in epoch for key, again in zip(batch["__key__"], batch["__repeat__"], strict=True) if not again
    )
    assert all(count == 1 for count in firsts.values())
    # Two ranks, and going on with one: the list of batches is the same.
    listed = {tuple(batch["__key__"]) for batch in epoch}
    seen = []
    for rank in range(2):
        half = dataset.stream(seed=1, rank=rank, world_size=2).identity_batches(identities=4, per_identity=3).loader()
        seen += [tuple(batch["__key__"]) for batch in itertools.islice(iter(half), 2)]
        state = half.state_dict()
    rest = dataset.stream(seed=1).identity_batches(identities=4, per_identity=3).loader(num_workers=1)
    rest.load_state_dict(state)
    seen += [tuple(batch["__key__"]) for batch in rest]
    assert len(seen) == len(listed)
    assert set(seen) == listed
    with pytest.raises(UsageError, match="identity_batches"):
        other = dataset.stream(seed=1).identity_batches(identities=3, per_identity=3)
        other.load_state_dict(state)


def test_the_length_is_of_the_epoch_under_way_or_else_of_the_next(dataset: Dataset) -> None:
    stream = dataset.stream(seed=1).identity_batches(identities=2, per_identity=2)
    loader = stream.loader()
    lengths = []
    for epoch in range(8):
        assert stream.epoch == epoch
        before = len(loader)
        inside = [len(loader) for _ in loader]
        assert inside == [before] * before
        lengths.append(before)
    assert len(set(lengths)) > 1
    change = next(epoch for epoch in range(8) if lengths[epoch] != lengths[epoch + 1])
    stream.set_epoch(change)
    for _ in loader:
        assert len(loader) == lengths[change]
        break
    assert len(loader) == lengths[change + 1]
    loader.load_state_dict(loader.state_dict())
    assert len(loader) == lengths[change]


def test_ranks_with_different_numbers_of_identity_batches_are_warned_of_once(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    for tail in TAILS:
        for rank in range(2):
            stream = dataset.stream(tail=tail, rank=rank, world_size=2).identity_batches(4, 3)
            for _ in range(6):  # some of the epochs have an odd number of batches
                list(stream.loader())
    warned = [record.message for record in caplog.records if "identity batches on some ranks" in record.message]
    assert len(warned) == 1
    assert 'pass tail="drop" or tail="pad"' in warned[0]


def test_pipelines_that_make_batches(dataset: Dataset) -> None:
    batched = key_stream(dataset).batched(4, collation_fn=None)
    loader = batched.loader(num_workers=2)
    epoch = list(loader)
    assert sorted(itertools.chain(*epoch)) == sorted(whole(dataset))
    batched.set_epoch(0)
    head = list(itertools.islice(iter(loader), 3))
    state = loader.state_dict()
    loader.load_state_dict(state)
    assert head + list(loader) == epoch


def test_a_killed_worker_is_an_error_not_a_hang(dataset: Dataset) -> None:
    loader = key_stream(dataset).loader(batch_size=1, num_workers=2, prefetch_factor=1)
    iterator = iter(loader)
    first = next(iterator)
    children = torch.multiprocessing.active_children()
    os.kill(children[0].pid or 0, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"killed by signal|exited unexpectedly"):
        list(iterator)
    state = loader.state_dict()
    again = key_stream(dataset).loader(batch_size=1, num_workers=2)
    again.load_state_dict(state)
    rest = list(again)
    assert len(rest) < len(whole(dataset))
    assert first not in rest


def test_options_that_would_change_the_order_are_refused(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="sampler, shuffle"):
        dataset.stream().loader(8, shuffle=True, sampler=None)
    with pytest.raises(UsageError, match=r"drop_last=True.*partial=False"):
        dataset.stream().batched(8).loader(drop_last=True)
    with pytest.raises(UsageError, match="batch_size=0"):
        dataset.stream().loader(0)
    with pytest.raises(UsageError, match="4 x 2 samples"):
        dataset.stream().identity_batches(4, 2).loader(9)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_rank_has_one_batch_that_is_not_full_or_none(dataset: Dataset, workers: int, ranks: int) -> None:
    count = len(whole(dataset))
    for drop_last in (False, True):
        seen: list[str] = []
        for rank in range(ranks):
            stream = key_stream(dataset, rank=rank, world_size=ranks)
            loader = stream.loader(7, workers, drop_last=drop_last, collate_fn=as_list)
            expected = len(loader)
            batches = list(loader)
            assert len(batches) == expected
            assert sum(len(batch) < 7 for batch in batches) <= (not drop_last)
            seen += itertools.chain(*batches)
        assert len(set(seen)) == len(seen)
        assert count - len(seen) < (7 * ranks if drop_last else 1)


def test_a_resumed_run_drops_what_the_whole_one_does(dataset: Dataset) -> None:
    def loader() -> Any:
        return key_stream(dataset, seed=3).loader(7, 2, drop_last=True, collate_fn=as_list)

    batches = list(loader())
    for step in (1, len(batches) - 1):
        first = loader()
        head = list(itertools.islice(iter(first), step))
        second = loader()
        second.load_state_dict(first.state_dict())
        assert head + list(second) == batches
        assert second.state_dict()["progress"]["epoch"] == 1
    # Under another number of workers, what was not handed out is cut into full batches anew.
    other = key_stream(dataset, seed=3).loader(7, 3, drop_last=True, collate_fn=as_list)
    other.load_state_dict(first.state_dict())
    rest = list(itertools.chain(*other))
    assert len(rest) % 7 == 0
    assert not set(rest) & set(itertools.chain(*head))


def test_a_stage_that_leaves_samples_out_makes_no_short_batch(dataset: Dataset) -> None:
    stream = key_stream(dataset).select(lambda key: int(key[-1]) != 1)
    assert {len(batch) for batch in stream.loader(7, 2, drop_last=True, collate_fn=as_list)} == {7}


def test_collating() -> None:
    batch = collate([{"label": 1, "jpg": b"a", "x": torch.zeros(2)}, {"label": 2, "jpg": b"b", "x": torch.ones(2)}])
    assert batch["label"].tolist() == [1, 2]
    assert batch["jpg"] == [b"a", b"b"]
    assert batch["x"].shape == (2, 2)


def test_identity_batches_that_the_pipeline_makes(dataset: Dataset) -> None:
    loader = dataset.stream().identity_batches(4, 2).map(key_of).batched(8, None).loader()
    batches = list(loader)
    assert {len(batch) for batch in batches} == {8}
    assert all(isinstance(key, str) for batch in batches for key in batch)


def test_collate_fn_where_the_pipeline_makes_batches(dataset: Dataset) -> None:
    batches = list(key_stream(dataset).batched(4, None).loader(collate_fn=tuple))
    assert {type(batch) for batch in batches} == {tuple}
    assert sorted(itertools.chain(*batches)) == sorted(whole(dataset))


def test_going_on_after_an_epochs_end_is_refused(dataset: Dataset) -> None:
    for stream in (key_stream(dataset).repeat(2), key_stream(dataset).with_epoch(10)):
        with pytest.raises(UsageError, match=r"repeat\(\) and \.with_epoch\(\) go on after an epoch's end"):
            stream.loader(4)
