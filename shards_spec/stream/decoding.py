"""From positions of an order to samples: rows are looked up, fetched and decoded."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError
from shards_spec.stream.control import Control
from shards_spec.stream.cursor import Cursor
from shards_spec.stream.fetch import Fetcher, Outcome, SampleError
from shards_spec.stream.order import Int64
from shards_spec.stream.selection import Selection, Unit
from shards_spec.stream.settings import Settings
from shards_spec.stream.sharing import Part, part_spans
from shards_spec.stream.state import Progress
from shards_spec.stream.stream_order import StreamOrder
from shards_spec.stream.views import NextBuffer, frame_dict

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _ChunkMeta:
    """Metadata of a chunk of units; the bytes travel separately."""

    sizes: list[int]
    repeats: list[bool]
    keys: list[str]
    labels: list[int]


class SampleReader:
    """Reads and decodes the samples of a stream.

    Args:
        fetcher: Reads the bytes of samples.
        selection: Samples of the stream.
        labels: ``[identities of the set]``: the label of each.
        order: Order of the stream.
        settings: Settings of the stream.
        control: Counts the samples that are skipped.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        selection: Selection,
        labels: npt.NDArray[np.int32],
        order: StreamOrder,
        settings: Settings,
        control: Control,
    ) -> None:
        self._fetcher = fetcher
        self._selection = selection
        self._labels = labels
        self._order = order
        self._settings = settings
        self._control = control

    def read(self, cursor: Cursor, next_buffer: NextBuffer) -> Iterator[dict[str, Any]]:
        """Yield what is left of a cursor's part, and move the cursor along.

        Args:
            cursor: Position to begin at.
            next_buffer: Returns the array or tensor to write the next image to; see ``View.decoder``.
        """
        reads: deque[_ChunkMeta] = deque()
        decode = self._settings.view.decoder(next_buffer)
        single = self._settings.by == "sample" and cursor.progress.bundle_size == 1
        bundler = _Bundler(self, cursor, self._settings.by)
        repeats = self.repeats
        for outcomes in self._fetcher.fetch(self._rows(cursor.progress, cursor.rest, reads)):
            read = reads.popleft()
            crops = self._crops(read, outcomes, decode)
            if not single:
                yield from bundler.complete(crops, read)
                continue
            for crop, repeat in zip(crops, read.repeats, strict=True):
                cursor.consumed += 1
                if crop is None:
                    self.skip(cursor, 1, 1)
                    continue
                if repeats:
                    crop["__repeat__"] = repeat
                yield crop

    @property
    def repeats(self) -> bool:
        """Whether samples can be repeated and are marked."""
        return self._settings.tail == "pad" or self._settings.batch is not None

    def skip(self, cursor: Cursor, units: int, samples: int) -> None:
        """Count units and samples that are left out."""
        cursor.skipped += units
        self._control.count_skipped(samples)

    def _rows(self, progress: Progress, part: Part, reads: deque[_ChunkMeta]) -> Iterator[Int64]:
        index = self._selection.index
        order = self._order.of_epoch(progress.epoch)
        for span, again in part_spans(progress.spans, part):
            for chunk in order.chunks(span.start, span.stop):
                rows, sizes = self._selection.unit_rows(chunk.units)
                reads.append(
                    _ChunkMeta(
                        sizes.tolist(),
                        (chunk.repeats | again).tolist(),
                        [key.decode() for key in index.keys.take(rows).tolist()],
                        self._labels[index.rows.take(rows)["identity"]].tolist(),
                    )
                )
                yield rows

    def _crops(
        self, read: _ChunkMeta, outcomes: Iterator[Outcome], decode: Callable[[bytes, dict[str, Any]], Any]
    ) -> Iterator[dict[str, Any] | None]:
        """Yield the samples of a chunk as dictionaries, and None for each that cannot be read or decoded."""
        for key, label, outcome in zip(read.keys, read.labels, outcomes, strict=True):
            if isinstance(outcome, SampleError):
                self.refuse(outcome)
                yield None
                continue
            jpg, sidecar = outcome
            try:
                image = decode(jpg, sidecar)
            except SpecError as error:
                self.refuse(SampleError(f"sample {key}: {error}"))
                yield None
                continue
            yield {"__key__": key, "jpg": image, "json": sidecar, "label": label}

    def refuse(self, error: SampleError) -> None:
        """Raise the error of a sample, or log that the sample is skipped."""
        if self._settings.on_error == "raise":
            raise error
        logger.warning("skipped: %s", error)


class _Bundler:
    """Yields frames and identity batches whole, and skips those of which a crop cannot be read."""

    def __init__(self, reader: SampleReader, cursor: Cursor, by: Unit) -> None:
        self._reader = reader
        self._cursor = cursor
        self._by = by
        self._units: list[dict[str, Any]] = []  # units of the bundle under way
        self._places = 0  # number of its units so far, including those that cannot be read
        self._samples = 0

    def complete(self, crops: Iterator[dict[str, Any] | None], read: _ChunkMeta) -> Iterator[dict[str, Any]]:
        """Yield the units of all bundles that a chunk completes."""
        cursor = self._cursor
        bundle_size = cursor.progress.bundle_size
        frames = self._by == "frame"
        for size, repeat in zip(read.sizes, read.repeats, strict=True):
            found = [crop for crop in itertools.islice(crops, size) if crop is not None]
            if len(found) == size:
                try:
                    unit = frame_dict(found) if frames else found[0]
                    self._units.append({**unit, "__repeat__": repeat} if self._reader.repeats else unit)
                except SpecError as error:
                    self._reader.refuse(SampleError(f"sample {found[0]['__key__']}: {error}"))
            self._places += 1
            self._samples += size
            if self._places < bundle_size:
                continue
            if len(self._units) == bundle_size:
                yield from self._units[:-1]
                cursor.consumed += bundle_size
                yield self._units[-1]
            else:
                cursor.consumed += bundle_size
                self._reader.skip(cursor, bundle_size, self._samples)
            self._units, self._places, self._samples = [], 0, 0
