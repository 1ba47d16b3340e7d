"""Readers against a model of them: whatever is done in whatever order, the batches are those that the model says."""

import copy
import itertools
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader  # type: ignore[import-untyped]

from shards_spec.stream import Dataset
from shards_spec.stream.pipeline import Stream
from shards_spec.stream.sharing import TAILS, Tail

IDENTITIES, CROPS = 3, 2
ALL = 10**6


class Unit(NamedTuple):
    """A sample or a frame."""

    key: str
    again: bool


class Topology(NamedTuple):
    ranks: int
    workers: int


topologies = st.builds(Topology, st.integers(1, 3), st.sampled_from([0, 0, 1, 2]))
step_counts = st.sampled_from([1, 1, 2, 3, 5, 8, 13, ALL])


def unit_of(sample: dict[str, Any]) -> Unit:
    return Unit(sample["__key__"], sample.get("__repeat__", False))


def as_list(units: list[Unit]) -> list[Unit]:
    return units


class Epoch:
    """An epoch as it is handed out, in lists: what the documentation says, and nothing of how the reader does it."""

    def __init__(
        self,
        number: int,
        units: list[Unit],
        topology: Topology,
        tail: Tail,
        bundle_size: int,
        full: tuple[int, bool] | None,
    ) -> None:
        self.number = number
        self.topology = topology
        self._units = units
        self._tail: Tail = tail
        self._bundle_size = bundle_size
        parts = topology.ranks * max(1, topology.workers)
        bundles = len(units) // bundle_size
        equal = -(-bundles // parts) if tail == "pad" else bundles // parts
        cuts = [
            (part * bundles // parts if tail == "uneven" else part * equal) * bundle_size for part in range(parts + 1)
        ]
        places = [list(range(start, stop)) for start, stop in itertools.pairwise(cuts)]
        self._left = [
            places[rank * parts // topology.ranks :][: parts // topology.ranks] for rank in range(topology.ranks)
        ]
        self._full = full
        if full is not None:  # the size of a loader's batches, and whether it drops the one that is not full
            self._left = [self._in_batches(list(itertools.chain(*workers)), len(workers)) for workers in self._left]
        self._turns = [0] * topology.ranks
        self._handed: set[int] = set()

    def _in_batches(self, places: list[int], workers: int) -> list[list[int]]:
        """A rank's places as its workers hand them out: full batches, of which the last worker may have one more."""
        assert self._full is not None
        size, drop_last = self._full
        batches = [places[start : start + size] for start in range(0, len(places), size)]
        rest = batches.pop() if batches and len(batches[-1]) < size else []
        shares = [
            list(itertools.chain(*batches[worker * len(batches) // workers : (worker + 1) * len(batches) // workers]))
            for worker in range(workers)
        ]
        shares[-1] += [] if drop_last else rest
        return shares

    def batch(self, rank: int, size: int) -> list[Unit] | None:
        """A rank's next one: its workers take turns, but for those that have nothing left."""
        workers = self._left[rank]
        if not any(workers):
            return None
        while not workers[self._turns[rank]]:
            self._turns[rank] = (self._turns[rank] + 1) % len(workers)
        turn = self._turns[rank]
        self._turns[rank] = (turn + 1) % len(workers)
        places, workers[turn] = workers[turn][:size], workers[turn][size:]
        self._handed.update(places)
        return [self._unit(place) for place in places]

    def _unit(self, place: int) -> Unit:
        """Places behind the last one are the first ones again."""
        laps, place = divmod(place, len(self._units))
        key, again = self._units[place]
        return Unit(key, again or laps > 0)

    def batches(self, rank: int, size: int) -> int:
        """Those that a rank has left."""
        return sum(-(-len(places) // size) for places in self._left[rank])

    def under(self, topology: Topology) -> "Epoch":
        """A copy; under another topology, what nobody has had is shared out anew."""
        if topology == self.topology:
            return copy.deepcopy(self)
        units = [unit for place, unit in enumerate(self._units) if place not in self._handed]
        return Epoch(self.number, units, topology, self._tail, self._bundle_size, self._full)


class Reader:
    """One rank's, in one of the ways to read a stream."""

    def __init__(self, way: str, stream: Stream, size: int, workers: int, *, drop_last: bool) -> None:
        self._way = way
        self._size = size
        self._workers = workers
        self._used = 0
        self.stream = stream.batched(size, None) if way in {"stream", "batches"} else stream
        self.batches: Any = self.stream
        if way in {"loader", "batches"}:
            options = {"drop_last": drop_last} if way == "loader" else {}
            self.batches = self.stream.loader(size if way == "loader" else None, workers, **options)
        elif way == "persistent":
            self.batches = self.stream.loader(size, workers, persistent_workers=workers > 0, drop_last=drop_last)
        elif way == "bare":
            self.batches = DataLoader(stream, size, num_workers=workers, collate_fn=as_list)
        elif way == "torchdata":
            self.batches = StatefulDataLoader(stream, size, num_workers=workers, collate_fn=as_list)

    def __iter__(self) -> Iterator[list[Unit]]:
        self._used = 0
        for batch in self.batches:
            self._used += 1
            yield batch

    def state(self) -> Any:
        if self._way == "bare":
            return self.stream.state_dict(self._used, self._size, self._workers)
        return self.batches.state_dict()

    def load(self, state: Any) -> None:
        (self.stream if self._way == "bare" else self.batches).load_state_dict(state)


class Saved(NamedTuple):
    states: list[Any]
    """Of each rank; None where it had ended already."""
    epoch: Epoch


class Machine(RuleBasedStateMachine):
    """Ranks that go through a training job's life, all in this process, their workers in their own."""

    dataset: Dataset
    orders: dict[Any, list[Unit]]

    @initialize(
        way=st.sampled_from(["stream", "loader", "loader", "persistent", "bare", "batches", "torchdata"]),
        unit=st.sampled_from(["sample", "frame", "identity"]),
        split=st.sampled_from(["train", "query"]),
        tail=st.sampled_from(TAILS),
        size=st.integers(1, 9),
        seed=st.integers(0, 3),
        topology=topologies,
        drop_last=st.booleans(),
    )
    def begin(
        self,
        way: str,
        unit: str,
        split: str,
        tail: Tail,
        size: int,
        seed: int,
        topology: Topology,
        *,
        drop_last: bool,
    ) -> None:
        self.way = way
        self.drop_last = drop_last
        self.tail: Tail = tail
        self.identity = unit == "identity" and way != "batches"  # a loader makes batches of these whatever it is given
        self.size = IDENTITIES * CROPS if self.identity else size
        self.options: dict[str, Any] = {
            "by": "frame" if unit == "frame" else "sample",
            "split": "train" if self.identity else split,  # of which alone identity batches can be made
            "seed": seed,
        }
        self.saved: list[Saved] = []
        self.running: list[Iterator[list[Unit]]] = []
        self.make(topology)
        self.following = self.epoch(0)

    def make(self, topology: Topology) -> None:
        self.topology = topology._replace(workers=0) if self.way == "stream" else topology
        self.readers = [
            Reader(
                self.way,
                self.stream(tail=self.tail, rank=rank, world_size=self.topology.ranks),
                self.size,
                self.topology.workers,
                drop_last=self.drop_last,
            )
            for rank in range(self.topology.ranks)
        ]

    def stream(self, **options: Any) -> Stream:
        stream = self.dataset.stream(**self.options, **options)
        stream = stream.identity_batches(IDENTITIES, CROPS) if self.identity else stream
        units: Stream = stream.map(unit_of)
        return units

    def epoch(self, number: int) -> Epoch:
        """One that begins: its order is what one process reads."""
        name = (self.identity, number, *self.options.values())
        if name not in self.orders:
            alone = self.stream()
            alone.set_epoch(number)
            self.orders[name] = list(alone)
        full = (self.size, self.drop_last) if self.way in {"loader", "persistent"} and not self.identity else None
        return Epoch(number, self.orders[name], self.topology, self.tail, self.size if self.identity else 1, full)

    def start(self) -> Epoch:
        """What an iteration that begins now is."""
        epoch, self.following = self.following, self.epoch(self.following.number + 1)
        return epoch

    @rule(steps=step_counts)
    def go_on(self, steps: int) -> None:
        if not self.running:
            self.running = [iter(reader) for reader in self.readers]
            self.under_way = self.start()
            self.ended = [False for _ in self.readers]
            self.disturbed = False
        for rank, batches in enumerate(self.running):
            for _ in range(steps):
                expected = self.under_way.batch(rank, self.size)
                assert next(batches, None) == expected
                if expected is None:
                    self.ended[rank] = True
                    break
        if all(self.ended):
            self.running = []
        elif not self.disturbed:
            self.save()

    @rule()
    def leave(self) -> None:
        self.running = []

    @precondition(lambda self: not (self.way == "persistent" and self.running))
    @rule()
    def glance(self) -> None:
        """The first batch of an iteration of its own."""
        epoch = self.start()
        for rank, reader in enumerate(self.readers):
            assert next(iter(reader), None) == epoch.batch(rank, self.size)
        self.disturbed = True  # states are of the iteration that began last

    @rule(number=st.integers(0, 5))
    def set_epoch(self, number: int) -> None:
        for reader in self.readers:
            reader.stream.set_epoch(number)
        self.following = self.epoch(number)

    @precondition(lambda self: self.way in {"loader", "persistent"} and not self.running)
    @rule()
    def measure(self) -> None:
        epoch = self.epoch(self.following.number)
        for rank, reader in enumerate(self.readers):
            assert len(reader.batches) == epoch.batches(rank, self.size)

    def save(self) -> None:
        states = [None if ended else reader.state() for reader, ended in zip(self.readers, self.ended, strict=True)]
        self.saved.append(Saved(pickle.loads(pickle.dumps(states)), self.under_way.under(self.topology)))

    @precondition(lambda self: self.saved)
    @rule(which=st.integers(-3, -1), same=st.booleans(), here=st.booleans(), topology=topologies, steps=step_counts)
    def load(self, which: int, *, same: bool, here: bool, topology: Topology, steps: int) -> None:
        """Go on from one of the last states: under the same topology or another, in the same readers or in new ones."""
        saved = self.saved[max(which, -len(self.saved))]
        done = not any(saved.epoch.batches(rank, self.size) for rank in range(saved.epoch.topology.ranks))
        known = [state for state in saved.states if state is not None]
        # Each rank's own, where one does not tell of the others; and those of torchdata know of nothing else.
        own = self.way in {"batches", "torchdata"}
        if own and (done or len(known) < len(saved.states)):
            return  # where nothing is left, what comes is an empty rest or the next epoch
        self.running = []
        if self.way == "torchdata" or same:
            topology = saved.epoch.topology
        if not here or topology != self.topology:
            self.make(topology)
        if own and self.topology != saved.epoch.topology:
            known = [known]
        for rank, reader in enumerate(self.readers):
            reader.load(known[rank % len(known)])
        self.following = self.epoch(saved.epoch.number + 1) if done else saved.epoch.under(self.topology)
        self.go_on(steps)

    @precondition(lambda self: self.saved)
    @rule(same=st.booleans(), topology=topologies, steps=step_counts)
    def resume(self, *, same: bool, topology: Topology, steps: int) -> None:
        """What most jobs do most: new readers go on from the last state."""
        self.load(-1, same=same, here=False, topology=topology, steps=steps)

    @precondition(lambda self: self.way != "torchdata" and self.topology.workers == 0)
    @rule(how=st.sampled_from(["pickle", "copy"]))
    def copied(self, how: str) -> None:
        """A copy knows what comes next, and goes its own way from there."""
        others = pickle.loads(pickle.dumps(self.readers)) if how == "pickle" else copy.deepcopy(self.readers)
        self.running = []
        for reader in self.readers:
            reader.stream.set_epoch(77)
        self.readers = others

    def teardown(self) -> None:
        # Before they are garbage: when that is collected, PyTorch waits seconds for each worker.
        self.running, self.readers = [], []


@pytest.mark.filterwarnings("ignore:This DataLoader will create . worker processes")
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_what_comes_is_what_the_model_says(dataset: Dataset) -> None:
    Machine.dataset = dataset
    Machine.orders = {}
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=8,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],  # to shrink what starts processes takes many minutes
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
