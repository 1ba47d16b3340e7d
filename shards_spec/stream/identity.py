"""Identity batches: P identities, K crops of each, cameras mixed; a pure function of (index, seed, epoch, P, K).

A *hand* is K crops of one identity. An identity with n crops makes about n / K hands, so that an epoch shows nearly
every crop. Identities are grouped into pools by the shard that has most of their crops, so that few shards are read at
a time. Within a pool, crops that are neighbours in a shard, a block, are used at about the same time, so that one read
fetches them: blocks are shuffled, the crops of an identity are taken for its hands in that order, and the hands that
are then due, a window of some thousand crops, are dealt to batches like cards. The hands of one identity follow one
another, and there are at least as many batches as any identity has hands, so no batch gets an identity twice.

How well this mixes, on 740 shards of 10,000 crops of 15 groups, batches 16 x 4 (in brackets, crops taken from all over
the pool, as they were before blocks): a batch shows 15.1 groups (15.3), 6.9 shards (7.1); a hand 3.7 cameras of 8
(4.0); 4.5% of the crops have one of the same frame in their batch (0.2%; in a batch of 64 of the plain order 9%). An
identity meets 353 of the 479 others of its pool in an epoch (343).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shards_spec.errors import UsageError
from shards_spec.shuffle_hash import keyed_hashes, shuffled_order
from shards_spec.stream.order import BLOCK_UNITS, Chunk, Int64

POOL_SHARDS = 8
"""Minimum number of shards in a pool. More are read if a cell has few crops of each identity."""
POOL_BATCHES = 4
"""A pool has at least this many times as many identities as a batch, if the set has that many."""
CHUNK_SAMPLES = 512
"""Number of samples that are read together, about 4 MB."""
HANDS_TOGETHER = 2
"""Number of hands of an identity that are used at about the same time. Their crops are shared out by camera."""
WINDOW_BLOCKS = 128
"""Number of blocks whose crops make up a window, in which hands are shuffled: at most about 24 MiB."""


class Crops(NamedTuple):
    """The crops of some shards: ``[n]`` each."""

    units: Int64
    identities: Int64
    cameras: Int64


class CropCounts(NamedTuple):
    """The number of crops of each identity in each shard: ``[pairs]`` each, sorted by shard."""

    shards: Int64
    identities: Int64
    counts: Int64


CropsOf = Callable[[Sequence[int], Int64 | None], Crops]
"""Returns the crops of some shards, or only those of some identities."""


@dataclass(frozen=True, slots=True)
class _Pool:
    number: int
    identities: Int64
    batches: int


def count_crops(shard_units: Int64, crops_of: CropsOf) -> CropCounts:
    """Count the crops once. The batches of every epoch are derived from the counts."""
    found = []
    for shard in np.flatnonzero(shard_units):
        identities, counts = np.unique(crops_of([int(shard)], None).identities, return_counts=True)
        found.append((np.full(len(identities), shard), identities.astype(np.int64), counts.astype(np.int64)))
    if not found:
        return CropCounts(*(np.empty(0, np.int64) for _ in range(3)))
    return CropCounts(*(np.concatenate(column) for column in zip(*found, strict=True)))


class BatchOrder:
    """The batches of one epoch as positions.

    Batch b begins at position b * P * K, and the K crops of an identity are adjacent.

    Args:
        crop_counts: Number of crops of each identity in each shard.
        crops_of: Function that looks up crops.
        seed: Seed from 0 to 2^63 - 1.
        epoch: Number of the epoch, from 0.
        identities: P, the number of identities in a batch.
        per_identity: K, the number of crops of each.
        block: Number of neighbouring crops that are used at about the same time, so that one read fetches them.

    Raises:
        UsageError: There are fewer than P identities.
    """

    def __init__(
        self,
        crop_counts: CropCounts,
        crops_of: CropsOf,
        *,
        seed: int,
        epoch: int,
        identities: int,
        per_identity: int,
        block: int = BLOCK_UNITS,
    ) -> None:
        self._crop_counts = crop_counts
        self._crops_of = crops_of
        self._seed = seed
        self._epoch = epoch
        self._identities = identities
        self._per_identity = per_identity
        self._block = block
        self.bundle_size = identities * per_identity
        self._pools = self._make_pools()
        self._starts = np.concatenate([[0], np.cumsum([pool.batches for pool in self._pools], dtype=np.int64)])

    @property
    def count(self) -> int:
        """Number of positions."""
        return int(self._starts[-1]) * self.bundle_size

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """Yield the units at positions ``start`` to ``stop`` - 1, a part of a pool at a time."""
        step = max(1, CHUNK_SAMPLES // self.bundle_size) * self.bundle_size
        for pool, first in zip(self._pools, self._starts * self.bundle_size, strict=False):
            begin, end = max(start - int(first), 0), min(stop - int(first), pool.batches * self.bundle_size)
            if begin < end:
                units, repeats = self._deal(pool)
                for place in range(begin, end, step):
                    part = slice(place, min(place + step, end))
                    yield Chunk(units[part], repeats[part])

    def _purpose(self, what: str) -> str:
        return f"identity batches/{what}/{self._epoch}"

    def _make_pools(self) -> list[_Pool]:
        """Group the identities into pools of at least P by their home shards, which are shuffled."""
        crop_counts = self._crop_counts
        if len(crop_counts.shards) == 0:
            return []
        order = np.lexsort((crop_counts.shards, -crop_counts.counts, crop_counts.identities))
        identities, firsts = np.unique(crop_counts.identities[order], return_index=True)
        homes = crop_counts.shards[order][firsts]
        crops = np.add.reduceat(crop_counts.counts[order], firsts)
        wanted = min(self._identities * POOL_BATCHES, len(identities))
        if wanted < self._identities:
            raise UsageError(
                f"identity batches of {self._identities} identities, but the selection has {wanted}: take fewer"
            )
        shards, at_home = np.unique(homes, return_counts=True)
        order = np.argsort(keyed_hashes(shards, self._seed, self._purpose("shards")), kind="stable")
        pool_of = np.empty(len(shards), np.int64)
        pool = shards_inside = inside = 0
        for place in order:
            if shards_inside >= POOL_SHARDS and inside >= wanted:
                pool, shards_inside, inside = pool + 1, 0, 0
            pool_of[place] = pool
            shards_inside += 1
            inside += int(at_home[place])
        if pool and inside < self._identities:  # the last pool is merged into the one before it
            pool_of[pool_of == pool] = pool - 1
        pools = pool_of[np.searchsorted(shards, homes)]
        made = []
        for number in range(int(pools.max()) + 1):
            inside_pool = pools == number
            counts = hands(crops[inside_pool], self._identities, self._per_identity)
            made.append(_Pool(number, identities[inside_pool], len_batches(counts, self._identities)))
        return made

    def _deal(self, pool: _Pool) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Return the units of a pool's batches, and which of them are repeats."""
        shards = np.unique(self._crop_counts.shards[np.isin(self._crop_counts.identities, pool.identities)])
        crops = self._crops_of(shards.tolist(), pool.identities)
        purpose = self._purpose(f"deal/{pool.number}")
        blocks = keyed_hashes(crops.units // self._block, self._seed, self._purpose(f"blocks/{pool.number}"))
        by_identity = _Identities(crops, blocks, self._seed, self._purpose(f"crops/{pool.number}"))
        counts = hands(by_identity.counts, self._identities, self._per_identity)
        drawn, due = by_identity.hands(counts, self._per_identity)
        owners = np.repeat(np.arange(len(counts)), counts)
        tables = self._deal_windows(owners, counts, due, purpose)
        table = np.concatenate(tables or [deal(counts, self._identities, pool.batches, self._seed, purpose)])
        # Hands are numbered through all identities. Higher numbers are identities, any hand of which fills up a batch.
        extra = (keyed_hashes(np.arange(table.size), self._seed, f"{purpose}/fill") % np.uint64(2**31)).astype(np.int64)
        fillers = np.maximum(table - len(owners), 0)
        firsts = np.cumsum(counts) - counts
        numbers = np.where(table < len(owners), table, firsts[fillers] + extra.reshape(table.shape) % counts[fillers])
        units = drawn[numbers.ravel()].ravel()
        repeats = np.ones(len(units), np.bool_)
        repeats[np.unique(units, return_index=True)[1]] = False
        return units, repeats

    def _deal_windows(self, owners: Int64, counts: Int64, due: Int64, purpose: str) -> list[Int64] | None:
        """Deal the hands that are due at about the same time to batches that follow one another.

        Args:
            owners: ``[hands]``: index of the identity of each hand.
            counts: ``[identities]``: number of hands of each.
            due: ``[hands]``: when all crops of a hand have been read; any numbers that grow with time.
            purpose: Purpose of the shuffles.

        Returns:
            Tables as ``deal`` returns them; None if an identity has so many of the hands that only all batches
            together can take them.
        """
        batches = max(1, WINDOW_BLOCKS * self._block // self.bundle_size)
        waiting = np.argsort(due, kind="stable")
        tables: list[Int64] = []
        while len(waiting):
            # Of one identity, no more hands than the window has batches. The others wait for the next window.
            by_owner = np.argsort(owners[waiting], kind="stable")
            sizes = np.bincount(owners[waiting], minlength=len(counts))
            places = np.empty(len(waiting), np.int64)
            places[by_owner] = np.arange(len(waiting)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            taken = np.flatnonzero(places < batches)[: batches * self._identities]
            held = np.bincount(owners[waiting[taken]], minlength=len(counts))
            rows = len_batches(held, self._identities)
            if held.max() > rows or (len(taken) < len(waiting) and len(taken) < batches * self._identities):
                return None
            table = deal(held, self._identities, rows, self._seed, f"{purpose}/window/{len(tables)}")
            numbers = np.append(np.sort(waiting[taken]), len(owners) + np.arange(len(counts)))
            tables.append(numbers[table])
            waiting = np.delete(waiting, taken)
        return tables


def hands(crops: Int64, identities: int, per_identity: int) -> Int64:
    """Return the number of hands of each identity: enough for its crops, but at most as many as the pool has batches.

    Args:
        crops: ``[identities of the pool]``: number of crops of each, at least 1. There are at least ``identities`` of
            them.
        identities: P.
        per_identity: K.
    """
    counts = -(-crops // per_identity)
    while True:
        capped = np.minimum(counts, len_batches(counts, identities))
        if np.array_equal(capped, counts):
            return capped
        counts = capped


def len_batches(counts: Int64, identities: int) -> int:
    """Return the number of batches that the hands of a pool fill."""
    return -(-int(counts.sum()) // identities)


def deal(counts: Int64, identities: int, batches: int, seed: int, purpose: str) -> Int64:
    """Deal hands to batches so that no batch gets an identity twice.

    Args:
        counts: ``[n]``: number of hands of each identity, at most ``batches``.
        identities: P, at most n.
        batches: Smallest number of batches that takes all hands.
        seed: Seed from 0 to 2^63 - 1.
        purpose: Purpose of the shuffle; see ``keyed_hashes``.

    Returns:
        ``[batches, P]``: numbers of hands, counted through all identities. A place that no hand is left for has the
        number of all hands plus the index of an identity that fills it.
    """
    total = int(counts.sum())
    owners = np.repeat(np.arange(len(counts)), counts)
    firsts = np.cumsum(counts) - counts
    shuffled = shuffled_order(len(counts), seed, f"{purpose}/identities")
    row = np.repeat(firsts[shuffled], counts[shuffled]) + (
        np.arange(total) - np.repeat(np.cumsum(counts[shuffled]) - counts[shuffled], counts[shuffled])
    )
    table = np.full((batches, identities), -1, np.int64)
    before = np.empty(0, np.int64)  # batches that already have the identity at the column's beginning
    for column in range(identities):
        part = row[column * batches : (column + 1) * batches]
        if len(part) == 0:
            break
        order = shuffled_order(batches, seed, f"{purpose}/column/{column}")
        order = np.concatenate([order[~np.isin(order, before)], order[np.isin(order, before)]])
        head = int((owners[part] == owners[part[0]]).sum())
        rest = order[head:]
        order[head:] = rest[shuffled_order(len(rest), seed, f"{purpose}/rest/{column}")]
        table[order[: len(part)], column] = part
        tail = owners[part] == owners[part[-1]]
        # An identity reaches the ends of several columns only if it fills a whole one, which ``counts`` rules out.
        before = order[: len(part)][tail]
    for batch, column in np.argwhere(table < 0):
        present = {int(owners[hand]) if hand < total else int(hand) - total for hand in table[batch] if hand >= 0}
        candidates = shuffled_order(len(counts), seed, f"{purpose}/fill/{batch}/{column}")
        table[batch, column] = total + next(int(one) for one in candidates if int(one) not in present)
    places = shuffled_order(table.size, seed, f"{purpose}/places").reshape(table.shape).argsort(axis=1)
    return np.take_along_axis(table, places, axis=1)


class _Identities:
    """The crops of a pool by identity.

    Args:
        crops: Crops of the pool.
        blocks: ``[n]``: hashes of the blocks in which the crops lie. Blocks are read in the order of their hashes.
        seed: Seed from 0 to 2^63 - 1.
        purpose: Purpose of the shuffle.
    """

    def __init__(self, crops: Crops, blocks: npt.NDArray[np.uint64], seed: int, purpose: str) -> None:
        order = np.lexsort((keyed_hashes(crops.units, seed, purpose), blocks, crops.identities))
        self._units = crops.units[order]
        self._cameras = crops.cameras[order]
        self._blocks = blocks[order] >> np.uint64(1)  # fits a signed integer
        self._firsts = np.flatnonzero(np.diff(crops.identities[order], prepend=-1))
        self.counts = np.diff(np.append(self._firsts, len(order)))

    def hands(self, counts: Int64, per_identity: int) -> tuple[Int64, Int64]:
        """Return ``[hands, K]`` units, and ``[hands]`` the hash of the last block in which crops of each hand lie.

        The crops of an identity, in the order in which their blocks are read, are cut into parts of two or three hands
        each. Within a part they are sorted by camera, and hand j of t takes every t-th crop from the j-th on, and so
        covers several cameras.

        Args:
            counts: ``[identities]``: number of hands of each identity.
            per_identity: K.
        """
        parts = np.maximum(counts // HANDS_TOGETHER, 1)
        owners = np.repeat(np.arange(len(counts)), parts)  # [parts]: the identity of each
        places = np.arange(len(owners)) - np.repeat(np.cumsum(parts) - parts, parts)
        first_hands = places * counts[owners] // parts[owners]
        hands_of = (places + 1) * counts[owners] // parts[owners] - first_hands
        begins = self._firsts[owners] + first_hands * self.counts[owners] // counts[owners]
        crops_of = np.append(begins[1:], len(self._units)) - begins
        part_of = np.repeat(np.arange(len(owners)), crops_of)  # of each crop
        by_camera = np.lexsort((self._cameras, part_of))
        hand_parts = np.repeat(np.arange(len(owners)), hands_of)
        numbers = np.arange(len(hand_parts)) - np.repeat(np.cumsum(hands_of) - hands_of, hands_of)
        crops, step = crops_of[hand_parts][:, None], hands_of[hand_parts][:, None]
        steps = np.arange(per_identity)[None, :]
        places = numbers[:, None] + steps * step
        # If a part has more crops than its hands hold, the rest are left out of this epoch. If it has fewer, crops of
        # the next hand are repeated, or those of the same hand if there is only one.
        beyond = places >= crops
        following = (numbers[:, None] + 1) % step + (steps - (crops - numbers[:, None] + step - 1) // step) * step
        places = np.where(beyond, following % crops, places)
        rows = by_camera[begins[hand_parts][:, None] + places]
        if per_identity > 1:
            self._mix_cameras(rows, owners[hand_parts])
        return self._units[rows], self._blocks[rows].max(axis=1).astype(np.int64)

    def _mix_cameras(self, rows: Int64, owners: Int64) -> None:
        """Replace the last crop of hands from one camera by one from another, if their identity has one."""
        by_camera = np.lexsort((self._cameras, np.repeat(np.arange(len(self.counts)), self.counts)))
        first, last = by_camera[self._firsts[owners]], by_camera[self._firsts[owners] + self.counts[owners] - 1]
        cameras = self._cameras[rows]
        single = (cameras == cameras[:, :1]).all(axis=1) & (self._cameras[first] != self._cameras[last])
        other = np.where(self._cameras[last] != cameras[:, 0], last, first)
        rows[single, -1] = other[single]
