"""The catalog of crops: one row for each image."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog, first_reject
from pipeline.sources.matching import Paths
from pipeline.sources.tables.catalog.further import extra_decision, further_texts
from pipeline.sources.tables.catalog.prepare import Prepared, content_keys
from pipeline.sources.tables.catalog.schema import IMAGES_SCHEMA
from pipeline.sources.tables.labels.merge import conflicts, merge_rows
from pipeline.sources.tables.labels.people import KINDS, LABELLED, cameras_decision, ids_decision
from pipeline.sources.tables.labels.splits import splits_decision
from pipeline.sources.tables.labels.table import plain
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.unique_keys import are_unique
from shards_spec.errors import UsageError
from shards_spec.manifest import Account
from shards_spec.rejects import Note, Reject, RejectReason

_Int64 = npt.NDArray[np.int64]


def build_crops(source: Source, prepared: Prepared, options: TableOptions) -> Catalog:
    """Return the catalog of crops.

    Args:
        source: The kind of source.
        prepared: The rows, joined with the files, with the decision on the layout.
        options: The options.

    Raises:
        UsageError: Nothing is left.
    """
    keys = content_keys(prepared)
    merged = merge_rows([prepared.image, *keys], prepared.splits.bits)
    image = prepared.image[merged.row]
    differing = conflicts(image, [key[merged.row] for key in keys])
    images, first = np.unique(image, return_index=True)  # a crop that is labelled in two ways is lost as one sample
    row, mask = merged.row[first], merged.mask[first]
    rejects = list(_find_rejects(prepared, images, row, merged.row, differing))
    lost = {reject.name for reject in rejects}
    is_kept = ~np.isin(images, list(differing)) & (images < len(prepared.files))
    faulty = [one for one in images[is_kept].tolist() if one in prepared.files.faults]
    is_kept &= ~np.isin(images, faulty)
    assert len(rejects) == len(lost) == int(np.count_nonzero(~is_kept))
    rejects = [*prepared.labels.rejects, *rejects]
    if not is_kept.any():
        raise UsageError(f"{prepared.where}: nothing to convert: no image is left{first_reject(rejects)}")
    kept = np.flatnonzero(is_kept)
    order = kept[prepared.files.physical_order(images[kept])]
    table = _build_table(prepared, images[order], row[order], mask[order])
    person = np.where(prepared.people.kinds[row] == LABELLED, prepared.people.codes[row], -1)[is_kept]
    train = prepared.splits.bit("train") if "train" in prepared.splits.names else 0
    notes = prepared.notes
    notes.add_all(Note.REPEATED_LINE, merged.repeated, map(prepared.row_where, merged.first_repeated.tolist()))
    masks = np.unique(mask[is_kept]).tolist()
    return Catalog(
        source=source,
        rows=table,
        dataset=source.title,
        archives=sorted(prepared.files.sources, key=lambda file: file.file),
        labels=prepared.labels.sources,
        protocols=prepared.splits.protocols(masks),
        cell_splits={prepared.splits.cell(one): prepared.splits.of(one) for one in masks},
        decisions={
            "layout": prepared.labels.decisions["layout"],
            "paths": prepared.labels.decisions["paths"],
            "splits_from": splits_decision(prepared.splits),
            "ids": ids_decision(person, (mask[is_kept] & np.uint64(train)) > 0, options),
            "cameras": cameras_decision(prepared.cameras),
            "extra": extra_decision(prepared.labels),
        },
        accounts={"images": Account(len(images) + len(prepared.labels.rejects), len(order), len(rejects))},
        rejects=rejects,
        notes=notes.total(),
        gaps=prepared.files.gaps,
    )


def _find_rejects(
    prepared: Prepared, images: _Int64, row: _Int64, rows_of_samples: _Int64, differing: dict[int, int]
) -> Iterator[Reject]:
    """Yield the images that are lost before any is read."""
    known = [*prepared.files.faults, *differing]
    suspects = np.flatnonzero((images >= len(prepared.files)) | np.isin(images, known))
    for place in suspects.tolist():
        image = int(images[place])
        fault = prepared.image_fault(image)
        where = prepared.row_where(int(row[place]))
        if fault is None:
            second = prepared.row_where(int(rows_of_samples[differing[image]]))
            fault = RejectReason.LABEL_CONFLICT, f"labelled differently in {second}"
        code = int(prepared.people.codes[row[place]])
        person = prepared.people.names[code] if code >= 0 else None
        yield Reject(fault[0], where, prepared.image_path(image), person, 1, fault[1])


def _build_table(prepared: Prepared, images: _Int64, row: _Int64, mask: npt.NDArray[np.uint64]) -> pa.Table:
    labels, files = prepared.labels, prepared.files
    group, groups = labels.codes("group_id")
    camera = prepared.cameras.numbers[row]
    masks, codes = np.unique(mask, return_inverse=True)
    cells = pa.array([prepared.splits.cell(int(one)) for one in masks], pa.large_string())
    person = prepared.people.codes[row]
    kinds = prepared.people.kinds[row]
    people = pa.array(prepared.people.names, pa.large_string())
    paths = Paths(files.paths.folders.take(pa.array(images)), files.paths.names.take(pa.array(images)))
    columns: dict[str, Any] = {
        "cell": pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), cells),
        "group": pa.DictionaryArray.from_arrays(pa.array(person, mask=(person < 0) | (kinds != LABELLED)), people),
        "samples": pa.array(np.ones(len(row), np.int8)),
        "image": files.path_texts(images),
        "has_own_key": pa.array(are_unique(paths).view(np.uint8)),
        "person_id": pa.DictionaryArray.from_arrays(pa.array(person, mask=person < 0), people),
        "id_kind": pa.DictionaryArray.from_arrays(
            pa.array(kinds.astype(np.int32)), pa.array(list(KINDS), pa.large_string())
        ),
        "camera": pa.array(camera.astype(np.int32), mask=camera < 0),
        "group_id": pa.DictionaryArray.from_arrays(
            pa.array(group[row], mask=group[row] < 0), pa.array(groups, pa.large_string())
        ),
        "extra": plain(further_texts(labels, row)),
        **files.place_columns(images),
    }
    arrays = [columns[field.name].cast(field.type) for field in IMAGES_SCHEMA]
    return pa.table(arrays, schema=IMAGES_SCHEMA).combine_chunks()
