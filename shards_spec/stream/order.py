"""The order of an epoch: a pure function of the number of units in each shard, the seed and the epoch.

A unit is what is yielded: a crop or a whole frame. An epoch is read in pools, each of which takes a stretch of every
shard, as many bytes as ``POOL_SHARDS`` shards have. The units of a pool are shuffled in blocks, each of which is
fetched by one read. The units of some tens of blocks, a window, are then shuffled one by one. Nothing here is as long
as the epoch: an order of millions of units stores only its blocks, and computes a window when it is needed.

How well this mixes, on 740 shards of 10,000 crops of 15 groups (``make bench``; a full shuffle in brackets): a batch of
64 crops shows 59.0 groups (63.8) out of 40.8 shards (61.2), and the batch of 8 ranks together 461 (500). Over 200
batches a rank sees 2,763 groups (7,610). The crops of a person are spread over the epoch as by a full shuffle; pools of
whole shards, which this reader once had, spread them a fifth as far, and a model that learned in that order had a
mAP of 46.0 instead of 47.3, where a full shuffle gave 47.0 (``make bench``, part ``mixing``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.shuffle_hash import keyed_hashes

Int64 = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer[Any]]

POOL_SHARDS = 128
"""Number of shards whose bytes a pool has. A cache that is smaller than the set should hold a fifth more than them."""
WINDOW_BLOCKS = 64
PLAIN_BLOCKS = 16
"""Number of blocks in a window that is not shuffled. It is small, so that a window stays in the CPU's cache."""
BLOCK_UNITS = 32
BLOCK_BYTES = 192 * 1024
"""Approximate size of a block, which has at most ``BLOCK_UNITS`` units. A window is thus at most about 12 MiB."""
WINDOW_BYTES = 64 * 2**20
"""Approximate size of a window of units that are larger than a block, but for a single unit that is larger still."""


def block_units(unit_bytes: float) -> int:
    """Return the number of units in a block, for units of ``unit_bytes`` on average."""
    return max(1, min(BLOCK_UNITS, int(BLOCK_BYTES // max(unit_bytes, 1.0))))


def window_blocks(unit_bytes: float) -> int:
    """Return the largest number of blocks in a window, for units of ``unit_bytes`` on average."""
    return max(1, min(WINDOW_BLOCKS, int(WINDOW_BYTES // max(unit_bytes, 1.0))))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Units in the order in which they are yielded, as many as are held in memory together."""

    units: Int64
    repeats: npt.NDArray[np.bool_]
    """Which of the units this epoch repeats."""


@dataclass(frozen=True, slots=True)
class EpochOrder:
    """The order of one epoch: positions 0 to ``count`` - 1, with each unit once.

    Args:
        shard_units: Number of units of each shard. Units are numbered through all shards.
        block: Number of units in a block.
        seed: Seed from 0 to 2^63 - 1.
        epoch: Number of the epoch, from 0.
        shuffle: Whether to shuffle. If False, units come in the order of the shards.
        most_blocks: Largest number of blocks in a window; see ``window_blocks``.
    """

    shard_units: Sequence[int] | Int64
    block: int
    seed: int
    epoch: int
    shuffle: bool = True
    most_blocks: int = WINDOW_BLOCKS
    bundle_size: int = field(default=1, init=False)
    """Number of positions that must stay together when the order is shared out."""
    # There is a block for every few units, so its numbers take as few bytes as they can.
    _begins: Integers = field(init=False)  # [blocks]: the first unit of each block, in the epoch's order
    _sizes: Integers = field(init=False)  # [blocks]: its units
    _starts: Int64 = field(init=False)  # [windows + 1]: the position at which each window begins

    def __post_init__(self) -> None:
        """Lay out the blocks."""
        begins, sizes = self._blocks()
        sums = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        starts = np.append(sums[: -1 : self._window_blocks], sums[-1])
        for name, value in (("_begins", begins), ("_sizes", sizes), ("_starts", starts)):
            object.__setattr__(self, name, value)

    @property
    def _window_blocks(self) -> int:
        return min(self.most_blocks, WINDOW_BLOCKS if self.shuffle else PLAIN_BLOCKS)

    @property
    def count(self) -> int:
        """Number of positions."""
        return int(self._starts[-1])

    @property
    def nbytes(self) -> int:
        """Size of the order in memory in bytes."""
        return self._begins.nbytes + self._sizes.nbytes + self._starts.nbytes

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """Yield the units at positions ``start`` to ``stop`` - 1, a window or a part of one at a time."""
        if start >= stop:
            return
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for window in range(first, len(self._starts) - 1):
            begin = int(self._starts[window])
            if begin >= stop:
                return
            units = self._window(window)[max(0, start - begin) : stop - begin]
            yield Chunk(units, np.zeros(len(units), np.bool_))

    def _blocks(self) -> tuple[Integers, Integers]:
        all_units = np.asarray(self.shard_units, np.int64)
        # Half the bytes where they suffice: tens of millions of units have a million blocks.
        narrow = np.min_scalar_type(-2 * (int(all_units.sum()) + self.block))
        units, numbers = all_units.astype(narrow), np.arange(len(all_units))
        # Blocks begin at other units in each epoch, so that two units do not always share a block.
        phases = (
            (keyed_hashes(numbers, self.seed, self._purpose("phases")) % np.uint64(self.block)).astype(narrow)
            if self.shuffle
            else np.zeros_like(units)
        )
        block = narrow.type(self.block)
        counts = np.where(units > 0, -(-(units + phases) // block), narrow.type(0))
        shards = np.repeat(numbers.astype(np.int32), counts)
        places = np.arange(len(shards), dtype=narrow)
        places -= np.repeat((np.cumsum(counts, dtype=np.int64) - counts).astype(narrow), counts)
        begins = np.maximum(places * block - phases[shards], narrow.type(0))
        ends = np.minimum((places + narrow.type(1)) * block - phases[shards], units[shards])
        sizes = (ends - begins).astype(np.min_scalar_type(self.block))
        del ends
        begins += (np.cumsum(all_units) - all_units).astype(narrow)[shards]
        if not self.shuffle:
            return begins, sizes
        # A pool takes a stretch of every shard, the next one the stretch behind it, and each shard begins elsewhere.
        pools = -(-len(units) // POOL_SHARDS)
        turns = keyed_hashes(numbers, self.seed, self._purpose("turns")) % np.maximum(counts, 1).astype(np.uint64)
        places += turns.astype(narrow)[shards]
        places %= counts[shards]
        stretches = (places.astype(np.int64) * pools // counts[shards]).astype(np.int32)
        del places
        hashes = keyed_hashes(np.arange(len(shards)), self.seed, self._purpose("blocks"))
        order = np.lexsort((hashes, stretches))
        return begins[order], sizes[order]

    def _window(self, window: int) -> Int64:
        blocks = slice(window * self._window_blocks, (window + 1) * self._window_blocks)
        begins, sizes = self._begins[blocks].astype(np.int64), self._sizes[blocks].astype(np.int64)
        units: Int64 = np.arange(int(sizes.sum())) + np.repeat(begins - (np.cumsum(sizes) - sizes), sizes)
        if self.shuffle:
            units = units[np.argsort(keyed_hashes(units, self.seed, self._purpose("window")), kind="stable")]
        return units

    def _purpose(self, what: str) -> str:
        return f"stream/{what}/{self.epoch}"
