"""Iterating a stream without a loader: what comes, in which order, and going on after an interruption."""

import io
import itertools
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shards_spec.errors import UsageError
from shards_spec.stream import Dataset, open_dataset
from shards_spec.stream.sharing import TAILS, Tail
from shards_spec.tar import read_tar


def keys(samples: object) -> list[str]:
    return [sample["__key__"] for sample in samples]  # type: ignore[attr-defined]


def stored_keys(dataset: Dataset, **split: object) -> list[str]:
    """The keys of a split, out of its tars."""
    return [
        member.name.removesuffix(".jpg")
        for url in dataset.urls(**split)  # type: ignore[arg-type]
        for member in read_tar(io.BytesIO(Path(url).read_bytes()))
        if member.name.endswith(".jpg")
    ]


@pytest.mark.parametrize("split", ["train", "query", "gallery"])
@pytest.mark.parametrize("protocol", [1, "p2"])
def test_a_split_comes_whole_and_as_it_is_stored(dataset: Dataset, protocol: int | str, split: str) -> None:
    stream = dataset.stream(protocol=protocol, split=split)
    members = {
        member.name: member.data
        for url in dataset.urls(protocol=protocol, split=split)
        for member in read_tar(io.BytesIO(Path(url).read_bytes()))
    }
    samples = list(stream)
    assert Counter(keys(samples)) == Counter(stored_keys(dataset, protocol=protocol, split=split))
    for sample in samples:
        assert sample["jpg"] == members[sample["__key__"] + ".jpg"]
        assert sample["json"]["frame"] in sample["__key__"]
        assert list(sample) == ["__key__", "jpg", "json", "label"]


def test_unshuffled_is_the_shards_order(dataset: Dataset) -> None:
    assert keys(dataset.stream(shuffle=False)) == stored_keys(dataset)


def test_each_iteration_is_the_next_epoch_and_equal_seeds_agree(dataset: Dataset) -> None:
    stream, other = dataset.stream(seed=3), dataset.stream(seed=3)
    epochs = [keys(stream) for _ in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert [keys(other) for _ in range(4)] == epochs
    stream.set_epoch(1)
    assert stream.epoch == 1
    assert keys(stream) == epochs[1]
    assert keys(dataset.stream(seed=4)) != epochs[0]


def test_set_epoch_reaches_through_stages(dataset: Dataset) -> None:
    stream = dataset.stream()
    keyed = stream.map(lambda sample: sample["__key__"])
    first = list(keyed)
    assert list(keyed) != first
    stream.set_epoch(0)
    assert list(keyed) == first
    keyed.set_epoch(0)
    assert keys(stream) == first
    assert [key for batch in stream.batched(7, collation_fn=None) for key in keys(batch)] != first


@settings(max_examples=25, deadline=None)
@given(
    ranks=st.integers(1, 7),
    tail=st.sampled_from(TAILS),
    epoch=st.integers(0, 3),
    split=st.sampled_from(["train", "query"]),
)
def test_ranks_share_an_epoch(dataset: Dataset, ranks: int, tail: Tail, epoch: int, split: str) -> None:
    seen: list[str] = []
    sizes = set()
    whole = stored_keys(dataset, split=split)
    for rank in range(ranks):
        stream = dataset.stream(split=split, tail=tail, rank=rank, world_size=ranks)
        stream.set_epoch(epoch)
        samples = list(stream)
        sizes.add(len(samples))
        seen += keys(sample for sample in samples if not sample.get("__repeat__", False))
        assert all(("__repeat__" in sample) == (tail == "pad") for sample in samples)
    assert len(set(seen)) == len(seen)
    if tail == "drop":
        assert len(whole) - len(seen) < ranks
        assert len(sizes) == 1
    else:
        assert set(seen) == set(whole)
        assert max(sizes) - min(sizes) <= (tail == "uneven")


@settings(max_examples=25, deadline=None)
@given(
    legs=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 30)), min_size=1, max_size=3),
    seed=st.integers(0, 5),
    last=st.integers(1, 4),
)
@example(legs=[(3, 17), (4, 18), (4, 30)], seed=0, last=1)  # the first of four ranks has a sample less than the others
def test_resumed_twice_and_more_under_any_number_of_ranks(
    dataset: Dataset, legs: list[tuple[int, int]], seed: int, last: int
) -> None:
    state = None
    seen: list[str] = []
    for ranks, steps in [*legs, (last, 10**6)]:
        following = None
        for rank in range(ranks):
            stream = dataset.stream(seed=seed, rank=rank, world_size=ranks)
            if state is not None:
                stream.load_state_dict(state)
            seen += keys(itertools.islice(iter(stream), steps))
            if rank == 0:
                following = stream.state_dict()
        if following is not None and steps:
            state = following
        if state is not None and state["progress"]["epoch"]:
            return
    assert sorted(seen) == sorted(stored_keys(dataset))


def test_resuming_continues_bit_for_bit_and_then_with_the_next_epoch(dataset: Dataset) -> None:
    stream = dataset.stream(seed=9)
    first, second = list(stream), list(stream)
    stream.set_epoch(0)
    iterator = iter(stream)
    head = list(itertools.islice(iterator, 11))
    state = pickle.loads(pickle.dumps(stream.state_dict()))
    resumed = dataset.stream(seed=9)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    tail = list(resumed)
    assert head + tail == first
    assert list(resumed) == second
    finished = resumed.state_dict()
    again = dataset.stream(seed=9)
    again.load_state_dict(finished)
    assert again.epoch == 2


def test_a_state_of_another_order_is_refused(dataset: Dataset) -> None:
    state = dataset.stream(seed=1).state_dict()
    with pytest.raises(UsageError, match="seed 1, here 2"):
        dataset.stream(seed=2).load_state_dict(state)
    with pytest.raises(UsageError, match="another order: samples"):
        dataset.stream(seed=1, split="query").load_state_dict(state)


def test_a_pickled_stream_goes_on_by_itself(dataset: Dataset) -> None:
    stream = dataset.stream(seed=2)
    epochs = [keys(stream) for _ in range(2)]
    stream.set_epoch(1)
    other = pickle.loads(pickle.dumps(stream))
    assert keys(other) == epochs[1]
    assert keys(stream) == epochs[1]


def test_environment_and_arguments_say_the_rank(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    from_environment = keys(dataset.stream())
    monkeypatch.delenv("RANK")
    assert keys(dataset.stream(rank=1, world_size=3)) == from_environment
    assert len(keys(dataset.stream())) > 2 * len(from_environment)
    monkeypatch.setenv("RANK", "2")
    assert keys(dataset.stream(rank=1, world_size=3)) == from_environment  # what the caller says comes first
    assert len(keys(dataset.stream(rank=0, world_size=1))) > 2 * len(from_environment)
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(UsageError, match="RANK=3, WORLD_SIZE=3"):
        keys(dataset.stream())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": 3}, "protocol 3: the set has p1, p2"),
        ({"split": "test"}, "split 'test': protocol p1 has gallery, query, train"),
        ({"tail": "cut"}, "tail='cut': one of uneven, drop, pad"),
        ({"by": "group"}, "by='group': one of sample, frame"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"protocol": True}, "protocol=True: it must be a whole number"),
        ({"protocol": 1.0}, r"protocol=1\.0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.5}, r"seed=1\.5: it must be a whole number"),
        ({"seed": None}, "seed=None"),
        ({"seed": 2**63}, f"seed={2**63}"),
        ({"rank": 1}, "give both or neither"),
        ({"rank": 2, "world_size": 2}, "rank=2 of world_size=2"),
        ({"rank": 0.0, "world_size": 2}, r"rank=0\.0"),
        ({"rank": 0, "world_size": "2"}, "world_size='2'"),
        ({"decode": "pil"}, "decode='pil'"),
        ({"size": (256, 128)}, "needs decode"),
        ({"decode": "rgb", "size": (0, 1)}, "height and width"),
    ],
)
def test_options_that_make_no_sense(dataset: Dataset, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataset.stream(**options)  # type: ignore[arg-type]


def test_whole_numbers_may_be_numpys(dataset: Dataset) -> None:
    one, three = np.int64(1), np.int64(3)
    stream = dataset.stream(protocol=one, seed=three, rank=one, world_size=three)  # type: ignore[arg-type]
    plain = dataset.stream(protocol=1, seed=3, rank=1, world_size=3)
    assert pickle.dumps(stream.state_dict()) == pickle.dumps(plain.state_dict())
    assert keys(stream) == keys(plain)


def test_batches_of_a_size(dataset: Dataset) -> None:
    sizes = [len(batch) for batch in dataset.stream().batched(np.int64(7), None)]  # type: ignore[arg-type]
    assert set(sizes[:-1]) == {7}
    assert sum(sizes) == len(stored_keys(dataset))
    for size in (0, -1, 2.5, True):
        with pytest.raises(UsageError, match=f"batchsize={size}: "):
            dataset.stream().batched(size)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="batchsize=0: at least 1"):
        dataset.stream().listed(0)


def test_no_set_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no dataset\.json there"):
        open_dataset(tmp_path)
