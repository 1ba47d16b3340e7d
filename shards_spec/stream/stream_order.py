"""The order of a stream: of each epoch, the order of the units of its selection."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shards_spec.stream.identity import BatchOrder, CropCounts, Crops, count_crops
from shards_spec.stream.index_format import NO_LABEL
from shards_spec.stream.order import EpochOrder, Int64, block_units, window_blocks
from shards_spec.stream.selection import Selection
from shards_spec.stream.settings import Settings


class StreamOrder:
    """The orders of a stream's epochs. The order of the epoch that was asked for last is kept.

    Args:
        selection: Samples of the stream.
        settings: Settings of the stream, which choose between single units and identity batches.
    """

    def __init__(self, selection: Selection, settings: Settings) -> None:
        self._selection = selection
        self._settings = settings
        self._shard_units = selection.shard_units()
        self._block = block_units(selection.unit_bytes())
        self._most_blocks = window_blocks(selection.unit_bytes())
        self._crop_counts: CropCounts | None = None
        self._order: tuple[int, EpochOrder | BatchOrder] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_order": None}

    @property
    def description(self) -> dict[str, Any]:
        """The values that determine the order, for comparing states."""
        settings = self._settings
        return {
            "set": self._selection.index.digest,
            "samples": self._selection.digest,
            "by": settings.by,
            "seed": settings.seed,
            "shuffle": settings.shuffle,
            "tail": settings.tail,
            "identity_batches": None if settings.batch is None else list(settings.batch),
        }

    def of_epoch(self, epoch: int) -> EpochOrder | BatchOrder:
        """Return the order of an epoch."""
        if self._order is None or self._order[0] != epoch:
            settings = self._settings
            order: EpochOrder | BatchOrder
            if settings.batch is None:
                order = EpochOrder(
                    self._shard_units, self._block, settings.seed, epoch, settings.shuffle, self._most_blocks
                )
            else:
                if self._crop_counts is None:
                    self._crop_counts = count_crops(self._shard_units, self._crops_of)
                order = BatchOrder(
                    self._crop_counts,
                    self._crops_of,
                    seed=settings.seed,
                    epoch=epoch,
                    identities=settings.batch[0],
                    per_identity=settings.batch[1],
                    block=self._block,
                )
            self._order = (epoch, order)
        return self._order[1]

    def _crops_of(self, shards: Sequence[int], identities: Int64 | None) -> Crops:
        starts = np.concatenate([[0], np.cumsum(self._shard_units)])
        found = []
        for shard in shards:  # one at a time, because a set may have many more rows than are wanted
            units = np.arange(starts[shard], starts[shard + 1])
            rows, _ = self._selection.unit_rows(units)
            records, _ = self._selection.index.find(rows)
            labels = records[self._settings.label_field].astype(np.int64)
            crops = Crops(units, labels, records["camera"].astype(np.int64))
            wanted = labels != NO_LABEL if identities is None else np.isin(labels, identities)
            found.append(crops if wanted.all() else Crops(*(column[wanted] for column in crops)))
        return Crops(*(np.concatenate(column) for column in zip(*found, strict=True)))
