"""The first stage of a stream's pipeline: it joins the order, the position in it, and the decoding of samples."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.errors import UsageError
from shards_spec.stream.cursor import Position
from shards_spec.stream.decoding import SampleReader
from shards_spec.stream.fetch import Fetcher
from shards_spec.stream.selection import Selection
from shards_spec.stream.settings import Settings
from shards_spec.stream.stream_order import StreamOrder
from shards_spec.stream.views import NextBuffer, no_buffer
from shards_spec.stream.world import end_with_parent, is_shared_again


class SampleSource:
    """The first stage of a pipeline. It yields samples, and each call begins an iteration.

    Args:
        fetcher: Reads the bytes of samples.
        selection: Samples of the stream.
        labels: ``[values of the label field + 1]``: the label of each value, and that of a null.
        settings: Settings of the stream.
        groups: The groups that ``group_label`` stands for; none if samples come one by one.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        selection: Selection,
        labels: npt.NDArray[np.int32],
        settings: Settings,
        groups: Sequence[str] = (),
    ) -> None:
        self.fetcher = fetcher
        self.selection = selection
        self.settings = settings
        self.order = StreamOrder(selection, settings)
        self.position = Position(self.order, settings)
        self.next_buffer: NextBuffer = no_buffer
        """Function that returns the memory for the next image, if a loader has set one."""
        self._labels = labels
        self._reader = SampleReader(fetcher, selection, labels, self.order, settings, self.position.control, groups)

    def with_batches(self, identities: int, per_identity: int) -> "SampleSource":
        """Return a source of the same samples in identity batches.

        Raises:
            UsageError: The selection has fewer than ``identities`` identities.
        """
        other = SampleSource(
            self.fetcher, self.selection, self._labels, replace(self.settings, batch=(identities, per_identity))
        )
        other.order.of_epoch(0)  # raises the error now, not in the first iteration
        return other

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Begin the next iteration, or resume the one of a loaded state."""
        end_with_parent()
        if self.settings.ranks is None and self.position.worker().topology.ranks > 1 and is_shared_again(self):
            raise UsageError(
                "accelerate's prepare() shares out what the stream has shared out among the ranks already, so that "
                "most samples would be lost: pass rank=0, world_size=1 to stream(), or iterate over stream.loader(...) "
                "without prepare()"
            )
        cursor = self.position.begin()
        try:
            yield from self._reader.read(cursor, self.next_buffer)
            cursor.exhausted = True
        finally:
            cursor.closed = True
