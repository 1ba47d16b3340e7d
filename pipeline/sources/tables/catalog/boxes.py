"""The catalog of frames with labelled boxes: one row for each frame and cell."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import EntryFault, read_entries
from pipeline.crop.bitstream import JpegError, read_header
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog, first_reject
from pipeline.sources.matching import Paths
from pipeline.sources.tables.catalog.box_faults import BoxFaults
from pipeline.sources.tables.catalog.box_format import boxes_in_pixels
from pipeline.sources.tables.catalog.further import extra_decision, further_texts
from pipeline.sources.tables.catalog.prepare import Prepared, content_keys
from pipeline.sources.tables.catalog.schema import BOXES_SCHEMA, frame_rows
from pipeline.sources.tables.labels.merge import distinct, has_repeats, later_ones, merge_rows, ordinals, take_rows
from pipeline.sources.tables.labels.people import KINDS, LABELLED, cameras_decision, ids_decision
from pipeline.sources.tables.labels.splits import GALLERY, QUERY, splits_decision
from pipeline.sources.tables.labels.table import plain
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.unique_keys import are_unique
from shards_spec.errors import UsageError
from shards_spec.manifest import Account
from shards_spec.rejects import NOTE_EXAMPLES, Note
from shards_spec.storage import Store

PROBED = 32
"""Frames whose size is looked at before anything is converted."""

_Int64 = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


def build_boxes(
    source: Source,
    store: Store,
    prepared: Prepared,
    options: TableOptions,
    queries: Callable[[Prepared, _Int64, list[_Doubles], pa.Array], _Int64] | None,
) -> Catalog:
    """Return the catalog of frames with boxes.

    Args:
        source: The kind of source.
        store: The store with the source.
        prepared: The rows, joined with the files, with the decision on the format of boxes.
        options: The options.
        queries: A function that returns which samples are queries, given the images, boxes and ids of all; None if
            there is no list of queries.

    Raises:
        UsageError: Nothing is left, or most frames have another size than their labels say.
    """
    box = boxes_in_pixels(prepared.labels, prepared.labels.decisions["box_format"].choice, prepared.where)
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
    faults = BoxFaults(prepared, row, image, box, box_ids)
    is_kept = faults.is_kept
    layout = _Layout(prepared, image, mask, is_kept)
    if not len(layout.starts):
        raise UsageError(f"{prepared.where}: nothing to convert: no box is left{first_reject(faults.rejects)}")
    table = _build_table(prepared, row, box, box_ids, layout)
    _check_sizes(store, table, prepared.where)
    person = np.where(prepared.people.kinds[row] == LABELLED, prepared.people.codes[row], -1)
    train = prepared.splits.bit("train") if "train" in prepared.splits.names else 0
    notes = prepared.notes
    notes.add_all(Note.REPEATED_LINE, merged.repeated, map(prepared.row_where, merged.first_repeated.tolist()))
    repeated = row[is_kept][_repeated_persons(image[is_kept], person[is_kept])]
    notes.add_all(Note.PERSON_REPEATED, len(repeated), map(prepared.row_where, repeated[:NOTE_EXAMPLES].tolist()))
    rejects = [*prepared.labels.rejects, *faults.rejects]
    cells, cell_code = np.unique(mask, return_inverse=True)
    frames = len(distinct(image * len(cells) + cell_code))
    decisions = {
        **prepared.labels.decisions,
        "splits_from": splits_decision(prepared.splits),
        "ids": ids_decision(person[is_kept], (mask[is_kept] & np.uint64(train)) > 0, options),
        "cameras": cameras_decision(prepared.cameras),
        "extra": extra_decision(prepared.labels),
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
        notes=notes.total(),
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


class _Layout:
    """The order of the kept samples, and which of them are in one row of the catalog: those of a frame and a cell."""

    def __init__(
        self, prepared: Prepared, image: _Int64, mask: npt.NDArray[np.uint64], is_kept: npt.NDArray[np.bool_]
    ) -> None:
        kept = np.flatnonzero(is_kept)
        images = distinct(image[kept])
        rank = np.empty(int(images.max(initial=-1)) + 1, np.int64)
        rank[images[prepared.files.physical_order(images)]] = np.arange(len(images))
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
        "frame": files.path_texts(layout.files),
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
        "extra": _list(offsets, further_texts(labels, rows)),
        **files.place_columns(layout.files),
    }
    arrays = [columns[field.name].cast(field.type) for field in BOXES_SCHEMA]
    return pa.table(arrays, schema=BOXES_SCHEMA).combine_chunks()


def _list(offsets: pa.Array, values: Any) -> pa.Array:
    return pa.ListArray.from_arrays(offsets, plain(values))


def _repeated_persons(image: _Int64, person: npt.NDArray[np.int32]) -> _Int64:
    """Return the boxes that show a person whom an earlier box of the same frame shows."""
    some = np.flatnonzero(person >= 0)
    pairs = image[some] * (int(person.max(initial=0)) + 1) + person[some]
    return some[later_ones(pairs)]


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
