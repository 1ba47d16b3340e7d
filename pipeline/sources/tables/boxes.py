"""The catalog of frames with labelled boxes: one row for each frame and cell."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import EntryFault, read_entries
from pipeline.crop.bitstream import JpegError, read_header
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog
from pipeline.sources.matching import Paths
from pipeline.sources.tables.labels import BOX, plain
from pipeline.sources.tables.merge import conflicts, distinct, has_repeats, merge_rows, ordinals, take_rows
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.tables.people import KINDS, LABELLED
from pipeline.sources.tables.prepare import (
    Prepared,
    cameras_decision,
    content_keys,
    first_reject,
    further_texts,
    ids_decision,
    path_texts,
    physical_order,
    place_columns,
)
from pipeline.sources.tables.read import Read, extra_decision
from pipeline.sources.tables.rows import BOXES_SCHEMA, frame_rows
from pipeline.sources.tables.splits import GALLERY, QUERY, splits_decision
from pipeline.sources.unique_keys import are_unique
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Account, Decision
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.storage import Store
from shards_spec.variants.tables import lost_box_name
from shards_spec.variants.tables.evidence import BoxFormatEvidence

MOST_BOXES = 1000
"""Most boxes of a frame that are taken: more than any camera shows."""

PROBED = 32
"""Frames whose size is looked at before anything is converted."""

_Int64 = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


def decide_box_format(read: Read, options: TableOptions, where: str, *, is_documented: bool) -> Decision:
    """Decide what the four numbers of a box are.

    Args:
        read: The labels.
        options: The options, of which ``box_format`` counts.
        where: The source's URL, for messages.
        is_documented: Whether the format of the labels says that they are left, top, width and height.

    Raises:
        UsageError: It is not clear.
    """
    if options.box_format != "auto":
        return Decision(options.box_format, dict(GIVEN))
    x, y, w, h = (read.labels.column(name) for name in BOX)
    width, height = (read.labels.column(name) for name in ("frame_width", "frame_height"))
    is_finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
    is_sized = is_finite & (width > 0) & (height > 0)
    leaves = (x < -1) | (y < -1) | (x + w > width + 1) | (y + h > height + 1)
    counts = {
        "documented": is_documented,
        "boxes": int(np.count_nonzero(is_finite)),
        "not_corners": int(np.count_nonzero(is_finite & ((w <= x) | (h <= y)))),
        "with_frame_size": int(np.count_nonzero(is_sized)),
        "leaving": int(np.count_nonzero(is_sized & leaves)),
    }
    largest = max((float(np.abs(numbers[is_finite]).max(initial=0)) for numbers in (x, y, w, h)), default=0.0)
    choice = BoxFormatEvidence(**counts).choice()  # type: ignore[arg-type]  # a bool and four ints
    if choice is not None and (is_documented or largest > 1):
        return Decision(choice, counts)
    what = (
        f"none of the {counts['boxes']:,} boxes has a number above 1"
        if largest <= 1
        else f"of {counts['boxes']:,} boxes, only {counts['not_corners']:,} have a w that is not above x, or an h that "
        "is not above y, so that w and h may be the right and the bottom"
    )
    raise UsageError(
        f"{where}: what the columns x, y, w and h are is not clear: {what}: look at some, then say --box-format xywh, "
        "xyxy or normalised"
    )


def boxes_in_pixels(read: Read, box_format: str, where: str) -> list[_Doubles]:
    """Return left, top, width and height of each box in pixels, ``[rows]`` each.

    Raises:
        UsageError: The boxes are shares of frames whose sizes are not labelled.
    """
    x, y, w, h = (read.labels.column(name) for name in BOX)
    if box_format == "xyxy":
        return [x, y, w - x, h - y]
    if box_format == "normalised":
        width, height = (read.labels.column(name).astype(float) for name in ("frame_width", "frame_height"))
        unsized = int(np.count_nonzero((width <= 0) | (height <= 0)))
        if unsized:
            raise UsageError(
                f"{where}: --box-format normalised: {unsized:,} of {len(width):,} rows lack the size of the frame: add "
                "the columns frame_width and frame_height"
            )
        return [x * width, y * height, w * width, h * height]
    return [x, y, w, h]


def build_boxes(
    source: Source,
    store: Store,
    read: Read,
    prepared: Prepared,
    options: TableOptions,
    queries: Callable[[Prepared, _Int64, list[_Doubles], pa.Array], _Int64] | None,
) -> Catalog:
    """Return the catalog of frames with boxes.

    Args:
        source: The kind of source.
        store: The store with the source.
        read: What was read, with the decision on the format of boxes.
        prepared: The rows, joined with the files.
        options: The options.
        queries: A function that returns which samples are queries, given the images, boxes and ids of all; None if
            there is no list of queries.

    Raises:
        UsageError: Nothing is left, or most frames have another size than their labels say.
    """
    box = boxes_in_pixels(read, read.decisions["box_format"].choice, prepared.where)
    merged = merge_rows([prepared.image, *box, *content_keys(prepared)], prepared.splits.bits)
    row, mask = merged.row, merged.mask
    image = take_rows(prepared.image, row)
    box = [take_rows(numbers, row) for numbers in box]
    box_ids = _box_ids(prepared, row, image)
    if queries is not None:
        for split in (QUERY, GALLERY):
            if split not in prepared.splits.names:
                raise UsageError(
                    f"{prepared.where}: --queries: there is no split {split} among {', '.join(prepared.splits.names)}: "
                    f"say --split {split}=OLD"
                )
        mask[queries(prepared, image, box, box_ids)] |= np.uint64(prepared.splits.bit(QUERY))
    faults = _Faults(prepared, row, image, box, box_ids)
    is_kept = faults.is_kept
    layout = _Layout(prepared, image, mask, is_kept)
    if not len(layout.starts):
        raise UsageError(f"{prepared.where}: nothing to convert: no box is left{first_reject(faults.rejects)}")
    table = _build_table(prepared, row, box, box_ids, layout)
    _check_sizes(store, table, prepared.where)
    person = np.where(prepared.people.kinds[row] == LABELLED, prepared.people.codes[row], -1)
    train = prepared.splits.bit("train") if "train" in prepared.splits.names else 0
    notes = dict(prepared.notes)
    notes[Note.REPEATED_LINE] = merged.repeated
    notes[Note.PERSON_REPEATED] = _count_repeated(image[is_kept], person[is_kept])
    rejects = [*prepared.labels.rejects, *faults.rejects]
    cells, cell_code = np.unique(mask, return_inverse=True)
    frames = len(distinct(image * len(cells) + cell_code))
    decisions = {
        **read.decisions,
        "splits_from": splits_decision(prepared.splits),
        "ids": ids_decision(person[is_kept], (mask[is_kept] & np.uint64(train)) > 0, options),
        "cameras": cameras_decision(prepared.cameras),
        "extra": extra_decision(read.extra_types),
    }
    masks = [int(one) for one in np.unique(layout.masks)]
    return Catalog(
        source=source,
        rows=table,
        dataset=source.title,
        archives=sorted(prepared.files.sources, key=lambda file: file.file),
        labels=prepared.labels.sources,
        protocols=prepared.splits.protocols(masks),
        cell_splits={prepared.splits.cell(one): prepared.splits.of(one) for one in masks},
        decisions=decisions,
        accounts={
            "boxes": Account(len(row) + len(prepared.labels.rejects), int(is_kept.sum()), len(rejects)),
            "frames": Account(frames, table.num_rows, frames - table.num_rows),
        },
        rejects=rejects,
        notes={note: count for note, count in sorted(notes.items()) if count},
        gaps=prepared.files.gaps,
    )


def _box_ids(prepared: Prepared, row: _Int64, image: _Int64) -> pa.Array:
    """Return what names each box in its frame: its id, or its number in the frame where ids are missing or repeated."""
    given = plain(prepared.labels.table["box_id"]).take(pa.array(row))
    numbers = pa.array(ordinals(image)).cast(pa.large_string())
    if given.null_count == len(given):
        return numbers
    codes = given.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    is_bad = has_repeats(image, codes) | (codes < 0)
    if not is_bad.any():
        return given
    return pc.if_else(pa.array(np.isin(image, image[is_bad])), numbers, given)


class _Faults:
    """Which boxes are lost before any frame is read, and why."""

    def __init__(self, prepared: Prepared, row: _Int64, image: _Int64, box: list[_Doubles], box_ids: pa.Array) -> None:
        self._prepared, self._row, self._image, self._box, self._box_ids = prepared, row, image, box, box_ids
        self.is_kept = np.ones(len(row), bool)
        self.rejects: list[Reject] = []
        for reason, samples, detail in self._find():
            for sample in samples[self.is_kept[samples]].tolist():
                self._reject(sample, reason, detail(sample))
            self.is_kept[samples] = False

    def _find(self) -> "Iterator[tuple[RejectReason, _Int64, Callable[[int], str]]]":
        prepared, image = self._prepared, self._image
        x, y, w, h = self._box
        known = {one: prepared.image_fault(one) for one in distinct(image[image >= len(prepared.files)]).tolist()}
        named = set(distinct(image[np.isin(image, list(prepared.files.faults))]).tolist())
        known |= {one: fault for one, fault in prepared.files.faults.items() if one in named}
        for reason in RejectReason:
            of_reason = [one for one, fault in known.items() if fault is not None and fault[0] is reason]
            if of_reason:
                found = np.flatnonzero(np.isin(image, of_reason))
                yield reason, found, lambda sample: (known[int(image[sample])] or ("", ""))[1]
        counts = np.bincount(image)
        yield (
            RejectReason.IMAGE_CROWDED,
            np.flatnonzero(counts[image] > MOST_BOXES),
            lambda sample: f"labelled with {counts[image[sample]]:,} boxes: at most {MOST_BOXES:,} are taken",
        )
        group, _ = prepared.labels.codes("group_id")
        differing = conflicts(image, [prepared.cameras.numbers[self._row], group[self._row]])
        yield (
            RejectReason.LABEL_CONFLICT,
            np.flatnonzero(np.isin(image, list(differing))),
            lambda sample: (
                "the boxes of this frame have different cameras or groups; see "
                f"{self._where(differing[int(image[sample])])}"
            ),
        )
        finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
        yield RejectReason.BOX_NOT_FINITE, np.flatnonzero(~finite), self._describe
        with np.errstate(invalid="ignore"):
            is_empty = ~((w > 0) & (h > 0))
        yield RejectReason.BOX_EMPTY, np.flatnonzero(is_empty), self._describe

    def _where(self, sample: int) -> str:
        return self._prepared.row_where(int(self._row[sample]))

    def _describe(self, sample: int) -> str:
        return f"box {', '.join(str(float(numbers[sample])) for numbers in self._box)}"

    def _reject(self, sample: int, reason: RejectReason, detail: str) -> None:
        prepared = self._prepared
        code = int(prepared.people.codes[self._row[sample]])
        name = lost_box_name(prepared.image_path(int(self._image[sample])), self._box_ids[sample].as_py())
        person = prepared.people.names[code] if code >= 0 else None
        self.rejects.append(Reject(reason, self._where(sample), name, person, 1, detail))


class _Layout:
    """The order of the kept samples, and which of them are in one row of the catalog: those of a frame and a cell."""

    def __init__(
        self, prepared: Prepared, image: _Int64, mask: npt.NDArray[np.uint64], is_kept: npt.NDArray[np.bool_]
    ) -> None:
        kept = np.flatnonzero(is_kept)
        images = distinct(image[kept])
        rank = np.empty(int(images.max(initial=-1)) + 1, np.int64)
        rank[images[physical_order(prepared.files, images)]] = np.arange(len(images))
        masks, cell = np.unique(mask[kept], return_inverse=True)
        order = np.argsort(rank[image[kept]] * len(masks) + cell, kind="stable")
        self.samples = kept[order]
        """The kept samples, in the order of the catalog."""
        change = np.diff(image[self.samples], prepend=-1) != 0
        change[1:] |= mask[self.samples][1:] != mask[self.samples][:-1]
        self.starts = np.flatnonzero(change)
        """Where each row begins in ``samples``."""
        self.files = image[self.samples][self.starts]
        """The file of each row."""
        self.masks = mask[self.samples][self.starts]
        """The bits of the splits of each row."""


def _build_table(prepared: Prepared, row: _Int64, box: list[_Doubles], box_ids: pa.Array, layout: _Layout) -> pa.Table:
    labels, files = prepared.labels, prepared.files
    rows = row[layout.samples]
    first = rows[layout.starts]
    ends = np.append(layout.starts, len(rows)).astype(np.int32)
    offsets = pa.array(ends)
    group, groups = labels.codes("group_id")
    camera = prepared.cameras.numbers[first]
    masks, codes = np.unique(layout.masks, return_inverse=True)
    names = pa.array([prepared.splits.cell(int(mask)) for mask in masks], pa.large_string())
    people = pa.array(prepared.people.names, pa.large_string())
    person = prepared.people.codes[rows]
    kinds = pa.array(list(KINDS), pa.large_string())
    group_names = pa.DictionaryArray.from_arrays(
        pa.array(group[first], mask=group[first] < 0), pa.array(groups, pa.large_string())
    )
    size = {name: labels.column(name)[first] for name in ("frame_width", "frame_height")}
    unique, position = np.unique(layout.files, return_inverse=True)
    paths = Paths(files.paths.folders.take(pa.array(unique)), files.paths.names.take(pa.array(unique)))
    columns: dict[str, Any] = {
        "cell": pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names),
        "group": group_names,
        "samples": pa.array(np.diff(ends)),
        "frame": path_texts(files, layout.files),
        "has_own_key": pa.array(are_unique(paths)[position].view(np.uint8)),
        "camera": pa.array(camera.astype(np.int32), mask=camera < 0),
        "group_id": group_names,
        **{name: pa.array(values.astype(np.int32), mask=values <= 0) for name, values in size.items()},
        "box_id": _list(offsets, box_ids.take(pa.array(layout.samples))),
        "person_id": _list(offsets, people.take(pa.array(person, mask=person < 0))),
        "id_kind": _list(offsets, kinds.take(pa.array(prepared.people.kinds[rows]))),
        "box": pa.ListArray.from_arrays(
            pa.array(ends * 4), pa.array(np.stack([numbers[layout.samples] for numbers in box], axis=1).reshape(-1))
        ),
        "extra": _list(offsets, further_texts(prepared, rows)),
        **place_columns(files, layout.files),
    }
    arrays = [columns[field.name].cast(field.type) for field in BOXES_SCHEMA]
    return pa.table(arrays, schema=BOXES_SCHEMA).combine_chunks()


def _list(offsets: pa.Array, values: Any) -> pa.Array:
    return pa.ListArray.from_arrays(offsets, plain(values))


def _count_repeated(image: _Int64, person: npt.NDArray[np.int32]) -> int:
    """Return how many boxes show a person whom an earlier box of the same frame shows."""
    some = np.flatnonzero(person >= 0)
    pairs = image[some] * (int(person.max(initial=0)) + 1) + person[some]
    return len(some) - len(np.unique(pairs))


def _check_sizes(store: Store, table: pa.Table, where: str) -> None:
    """Look at some frames whose sizes are labelled.

    Raises:
        UsageError: Most of them have another size.
    """
    sized = np.flatnonzero(table["frame_width"].is_valid().to_numpy())
    if not len(sized):
        return
    chosen = np.unique(sized[np.linspace(0, len(sized) - 1, PROBED).astype(np.int64)])
    frames = frame_rows(table.take(pa.array(chosen)))
    looked, differing = 0, []
    with closing(read_entries(store, [frame.request for frame in frames])) as entries:
        for position, content in entries:
            if isinstance(content, EntryFault):
                continue
            try:
                header = read_header(content)
            except JpegError:
                continue
            frame, size = frames[position], (header.width, header.height)
            looked += 1
            if size != (frame.frame_width, frame.frame_height):
                labelled = f"{frame.frame_width}x{frame.frame_height}"
                differing.append(f"{frame.name} is {size[0]}x{size[1]}, but labelled as {labelled}")
    if looked and 2 * len(differing) > looked:
        raise UsageError(
            f"{where}: of {looked} frames that were looked at, {len(differing)} have another size than their labels "
            f"say, so that the boxes would be cut elsewhere: {min(differing)}: get the frames that were labelled, or "
            "correct the labels"
        )
