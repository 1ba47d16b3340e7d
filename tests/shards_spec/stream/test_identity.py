"""The list of identity batches, as properties: always P, always K, every identity, cameras mixed."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import UsageError
from shards_spec.stream.identity import BatchOrder, Crops, count_crops, deal, hands, len_batches
from shards_spec.stream.order import Int64


class World:
    """Crops of groups, most of a group's in one shard and some in another cell's, in a shuffled order."""

    def __init__(self, groups: list[list[int]], cameras: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        shards, identities = [], []
        names = 0
        for group, counts in enumerate(groups):
            for count in counts:
                shards += [group % 11 if crop % 5 else 11 + group % 3 for crop in range(count)]
                identities += [names] * count
                names += 1
        order = np.lexsort((rng.random(len(shards)), np.asarray(shards, np.int64)))
        self.shards = np.asarray(shards, np.int64)[order]
        self.identities = np.asarray(identities, np.int64)[order]
        self.cameras = rng.integers(0, cameras, len(shards))
        self.shard_units = np.bincount(self.shards, minlength=14)

    def crops_of(self, shards: Sequence[int], identities: Int64 | None) -> Crops:
        units = np.flatnonzero(np.isin(self.shards, shards))
        if identities is not None:
            units = units[np.isin(self.identities[units], identities)]
        return Crops(units, self.identities[units], self.cameras[units])

    def order(self, epoch: int, identities: int, per_identity: int, seed: int = 5) -> BatchOrder:
        crop_counts = count_crops(self.shard_units, self.crops_of)
        return BatchOrder(
            crop_counts, self.crops_of, seed=seed, epoch=epoch, identities=identities, per_identity=per_identity
        )


worlds = st.builds(
    World,
    st.lists(st.lists(st.integers(1, 30), min_size=2, max_size=6), min_size=4, max_size=25),
    st.integers(1, 4),
    st.integers(0, 9),
)


def everything(order: BatchOrder) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(order.chunks(0, order.count))
    empty = [np.empty(0, np.int64)]
    return (
        np.concatenate([*empty, *(chunk.units for chunk in chunks)]),
        np.concatenate([np.empty(0, np.bool_), *(chunk.repeats for chunk in chunks)]),
    )


@given(world=worlds, identities=st.integers(1, 8), per_identity=st.integers(1, 6), epoch=st.integers(0, 50))
def test_always_p_always_k_every_identity_and_several_cameras(
    world: World, identities: int, per_identity: int, epoch: int
) -> None:
    order = world.order(epoch, identities, per_identity)
    units, repeats = everything(order)
    assert len(units) == order.count
    batches = units.reshape(-1, identities, per_identity)
    owners = world.identities[batches]
    assert (owners == owners[:, :, :1]).all()
    assert all(len(set(batch)) == identities for batch in owners[:, :, 0].tolist())
    assert set(owners.ravel().tolist()) == set(world.identities.tolist())
    firsts = np.unique(units, return_index=True)[1]
    assert set(np.flatnonzero(~repeats).tolist()) == set(firsts.tolist())
    for hand in batches.reshape(-1, per_identity):
        crops = np.flatnonzero(world.identities == world.identities[hand[0]])
        if per_identity > 1 and len(set(world.cameras[crops].tolist())) > 1:
            assert len(set(world.cameras[hand].tolist())) > 1
        if len(crops) >= 2 * per_identity:
            assert len(set(hand.tolist())) == per_identity


@given(world=worlds, data=st.data())
def test_any_part_is_a_slice_and_equal_seeds_agree(world: World, data: st.DataObject) -> None:
    order = world.order(1, 3, 2)
    units, repeats = everything(order)
    start = data.draw(st.integers(0, order.count // 6)) * 6
    stop = data.draw(st.integers(start // 6, order.count // 6)) * 6
    chunks = list(world.order(1, 3, 2).chunks(start, stop))
    assert [int(unit) for chunk in chunks for unit in chunk.units] == units[start:stop].tolist()
    assert [bool(repeat) for chunk in chunks for repeat in chunk.repeats] == repeats[start:stop].tolist()


def test_epochs_differ_and_nearly_every_crop_comes_once() -> None:
    world = World([[40, 44, 37, 41]] * 60, 8, 0)
    seen = []
    for epoch in range(4):
        units, repeats = everything(world.order(epoch, 16, 4))
        assert len(set(units.tolist())) > 0.97 * len(world.shards)
        assert repeats.mean() < 0.05  # hands are rounded up
        seen.append(tuple(units.tolist()))
    assert len(set(seen)) == 4


def test_neighbours_in_a_shard_come_at_about_the_same_time() -> None:
    """So that one read fetches them: in a tenth of a pool where they would otherwise be spread over all of it."""
    world = World([[160] * 4] * 22, 8, 0)
    crop_counts = count_crops(world.shard_units, world.crops_of)
    order = BatchOrder(crop_counts, world.crops_of, seed=5, epoch=0, identities=8, per_identity=4, block=4)
    units, repeats = everything(order)
    places = np.flatnonzero(~repeats)
    blocks = units[places] // 4
    spans = [np.ptp(places[blocks == block]) for block in np.unique(blocks) if (blocks == block).sum() == 4]
    assert len(spans) > 2000
    assert np.median(spans) < 0.1 * order.count


def test_identities_meet_others_from_batch_to_batch() -> None:
    counts = np.full(200, 40)
    table = deal(counts, 16, len_batches(counts, 16), 0, "test")
    owners = np.repeat(np.arange(200), counts)[table]
    company = {int(one) for batch in owners for one in batch if 7 in batch}
    assert len(company) > 150


@given(
    crops=st.lists(st.integers(1, 300), min_size=4, max_size=40), identities=st.integers(1, 4), per=st.integers(1, 5)
)
def test_no_identity_has_more_hands_than_there_are_batches(crops: list[int], identities: int, per: int) -> None:
    counts = hands(np.asarray(crops), identities, per)
    assert counts.min() >= 1
    assert counts.max() <= len_batches(counts, identities)


def test_too_few_identities_are_refused() -> None:
    world = World([[3, 3]] * 3, 2, 0)
    with pytest.raises(UsageError, match="7 identities, but the selection has 6"):
        world.order(0, 7, 2)


def test_an_empty_selection_has_no_batches() -> None:
    assert World([], 2, 0).order(0, 4, 4).count == 0
