"""From positions of an order to samples: rows are looked up, fetched and decoded."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError
from shards_spec.stream.control import Control
from shards_spec.stream.cursor import Cursor
from shards_spec.stream.fetch import Fetcher, Outcome, SampleError
from shards_spec.stream.index_format import NO_LABEL
from shards_spec.stream.order import Int64
from shards_spec.stream.selection import Selection
from shards_spec.stream.settings import Settings
from shards_spec.stream.sharing import Part, part_spans
from shards_spec.stream.state import Progress
from shards_spec.stream.stream_order import StreamOrder
from shards_spec.stream.views import NextBuffer, unit_dict
from shards_spec.variants.base import MORE_FILES, SIDECAR

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
        labels: ``[values of the label field + 1]``: the label of each value, and that of a null.
        order: Order of the stream.
        settings: Settings of the stream.
        control: Counts the samples that are skipped.
        groups: The groups that ``group_label`` stands for; none if samples come one by one.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        selection: Selection,
        labels: npt.NDArray[np.int32],
        order: StreamOrder,
        settings: Settings,
        control: Control,
        groups: Sequence[str],
    ) -> None:
        self._fetcher = fetcher
        self._selection = selection
        self._labels = labels
        self._order = order
        self._settings = settings
        self._control = control
        self._variant = selection.index.variant
        more = (MORE_FILES,) if self._variant.has_more_files else ()
        self._names = ("__key__", *self._variant.files, *more, SIDECAR, "label")
        self._groups = {name: label for label, name in enumerate(groups)}

    def read(self, cursor: Cursor, next_buffer: NextBuffer) -> Iterator[dict[str, Any]]:
        """Yield what is left of a cursor's part, and move the cursor along.

        Args:
            cursor: Position to begin at.
            next_buffer: Returns the array or tensor to write the next image to; see ``View.decoder``.
        """
        reads: deque[_ChunkMeta] = deque()
        decode = self._settings.view.decoder(next_buffer)
        single = self._settings.by == "sample" and cursor.progress.bundle_size == 1
        per_identity = 1 if self._settings.batch is None else self._settings.batch[1]
        bundler = _Bundler(self, cursor, self._settings.by, per_identity)
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

    def count_replaced(self, samples: int) -> None:
        """Count samples that could not be read, and in whose places others came."""
        if samples:
            self._control.count_skipped(samples)

    def unit(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return a unit with all its samples; see ``unit_dict``. If the variant has groups, it has a ``group_label``.

        Raises:
            SpecError: A sidecar lacks a field, or names a group that the index does not.
        """
        unit = unit_dict(self._variant, samples)
        if self._variant.group_field is None:
            return unit
        group = samples[0]["json"].get(self._variant.group_field)
        if group is not None and (not isinstance(group, str) or group not in self._groups):
            raise SpecError(f"group {group!r} is not in the index")
        return unit | {"group_label": NO_LABEL if group is None else self._groups[group]}

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
                        self._labels_of(rows),
                    )
                )
                yield rows

    def _labels_of(self, rows: Int64) -> list[int]:
        field = self._settings.label_field
        if field is None:
            return [NO_LABEL] * len(rows)
        labels: list[int] = self._labels[self._selection.index.rows.take(rows)[field]].tolist()
        return labels

    def _crops(
        self, read: _ChunkMeta, outcomes: Iterator[Outcome], decode: Callable[[bytes, dict[str, Any]], Any]
    ) -> Iterator[dict[str, Any] | None]:
        """Yield the samples of a chunk as dictionaries, and None for each that cannot be read or decoded."""
        image = None if self._settings.view.decode == "bytes" else self._variant.image
        only = self._variant.files[0] if len(self._names) == 4 else None
        for key, label, outcome in zip(read.keys, read.labels, outcomes, strict=True):
            if isinstance(outcome, SampleError):
                self.refuse(outcome)
                yield None
                continue
            sample: dict[str, Any]
            if only is None:
                sample = dict(zip(self._names, (key, *outcome, label), strict=True))
                if self._variant.has_more_files:
                    sample = _spread(sample)
            else:  # the usual case, which takes a fifth of the time
                data, sidecar = outcome
                sample = {"__key__": key, only: data, "json": sidecar, "label": label}
            if image is not None:
                try:
                    sample[image] = decode(sample[image], sample[SIDECAR])
                except SpecError as error:
                    self.refuse(SampleError(f"sample {key}: {error}"))
                    yield None
                    continue
            yield sample

    def refuse(self, error: SampleError) -> None:
        """Raise the error of a sample, or log that the sample is skipped."""
        if self._settings.on_error == "raise":
            raise error
        logger.warning("skipped: %s", error)


def _spread(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample with each of its further files under the file's own extension."""
    spread: dict[str, Any] = {}
    for name, value in sample.items():
        spread |= value if name == MORE_FILES else {name: value}
    return spread


class _Bundler:
    """Yields frames and identity batches whole.

    A crop of an identity batch that cannot be read is replaced by another one of the same identity in the batch. A
    frame or a batch with a crop that cannot be replaced is skipped.
    """

    def __init__(self, reader: SampleReader, cursor: Cursor, by: str, per_identity: int) -> None:
        self._reader = reader
        self._cursor = cursor
        self._by = by
        self._per_identity = per_identity
        self._units: list[dict[str, Any] | None] = []  # units of the bundle under way; None for one that is not there
        self._samples = 0

    def complete(self, crops: Iterator[dict[str, Any] | None], read: _ChunkMeta) -> Iterator[dict[str, Any]]:
        """Yield the units of all bundles that a chunk completes."""
        bundle_size = self._cursor.progress.bundle_size
        for size, repeat in zip(read.sizes, read.repeats, strict=True):
            found = [crop for crop in itertools.islice(crops, size) if crop is not None]
            self._units.append(self._unit(found, repeat) if len(found) == size else None)
            self._samples += size
            if len(self._units) < bundle_size:
                continue
            lost = self._units.count(None)
            units = self._mended() if lost else self._units
            whole = [unit for unit in units if unit is not None]
            if len(whole) == bundle_size:
                self._reader.count_replaced(lost)
                yield from whole[:-1]
                self._cursor.consumed += bundle_size
                yield whole[-1]
            else:
                self._cursor.consumed += bundle_size
                self._reader.skip(self._cursor, bundle_size, self._samples)
            self._units, self._samples = [], 0

    def _unit(self, crops: list[dict[str, Any]], repeat: bool) -> dict[str, Any] | None:
        try:
            unit = crops[0] if self._by == "sample" else self._reader.unit(crops)
        except SpecError as error:
            self._reader.refuse(SampleError(f"sample {crops[0]['__key__']}: {error}"))
            return None
        return {**unit, "__repeat__": repeat} if self._reader.repeats else unit

    def _mended(self) -> list[dict[str, Any] | None]:
        """Return the bundle's units, with another crop of its identity in place of each that is not there."""
        mended: list[dict[str, Any] | None] = []
        for start in range(0, len(self._units), self._per_identity):
            crops = self._units[start : start + self._per_identity]
            there = itertools.cycle([{**crop, "__repeat__": True} for crop in crops if crop is not None])
            mended += [next(there, None) if crop is None else crop for crop in crops]
        return mended
