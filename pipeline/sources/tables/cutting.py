"""The working part of sources with labelled frames, except for the survey: boxes are cut out of their frames."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.archives import EntryRequest
from pipeline.crop.bitstream import JpegError, read_header
from pipeline.crop.frame import FrameCrops, FrameFault
from pipeline.options import CutOptions, Options
from pipeline.samples import (
    Cut,
    Outcome,
    Sample,
    compare_crop,
    cut_samples,
    decode_frame,
    expected_crop_bytes,
    frame_boxes,
)
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Content, Converter, Recipe, Sizes
from pipeline.sources.tables.catalog.schema import Frame, frame_rows
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.variants.tables import BoxSidecar, find_identity, lost_box_name
from shards_spec.version import SPEC_VERSION


class FrameConverter(Converter[Frame]):
    """Cuts the boxes out of the frames of a catalog of ``BOXES_SCHEMA``."""

    def sizes(self, catalog: Catalog, options: Options) -> Sizes:
        """Estimate the crops' bytes from the areas of the boxes."""
        rows = catalog.rows
        counts, sizes, packed = (
            rows[name].to_numpy().astype(np.int64) for name in ("samples", "size", "compressed_size")
        )
        boxes = rows["box"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
        labelled = [rows[name].fill_null(0).to_numpy() for name in ("frame_width", "frame_height")]
        written = expected_crop_bytes(boxes, counts, sizes, np.stack(labelled, axis=1).astype(np.int64), _cut(options))
        return Sizes(int(np.where(packed > 0, packed, sizes).sum()), written)

    def rows(self, table: pa.Table) -> list[Frame]:
        """Return frames with their boxes."""
        return frame_rows(table)

    def entries(self, row: Frame) -> Sequence[EntryRequest]:
        """Return the request of the frame's file."""
        return (row.request,)

    def keys(self, row: Frame) -> dict[str, int | str | None]:
        """Return a key for each box."""
        return {row.key(position): person_id for position, person_id in enumerate(row.person_ids)}

    def lost_as(self, row: Frame) -> dict[str, tuple[str, int | str | None]]:
        """Return how rejects name the boxes: by frame and id, since a frame may be in several cells."""
        return {
            row.key(position): (lost_box_name(row.name, box_id), row.person_ids[position])
            for position, box_id in enumerate(row.box_ids)
        }

    def make_samples(self, rows: Sequence[Frame], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Cut the boxes out of their frames."""

        def describe(frame: Frame, cut: Cut) -> tuple[str, BoxSidecar]:
            sidecar = BoxSidecar(
                spec=SPEC_VERSION,
                **_labels(frame, cut.position, recipe),
                box=cut.box,
                frame_size=cut.frame_size,
                crop=cut.crop.rectangle,
                image_size=cut.crop.image_size,
                roi=cut.crop.roi,
                encoding=cut.crop.encoding,
                members=cut.members,
                splits=recipe.splits,
                extra=frame.further(cut.position),
            )
            return frame.key(cut.position), sidecar

        outcome = cut_samples(rows, contents, _cut(recipe.options), describe, lose=_lose_boxes, check=_check_size)
        _note_orientation(rows, contents, outcome)
        return outcome

    def comparison(
        self, row: Frame, contents: Sequence[Content], recipe: Recipe, *, is_exact: bool
    ) -> Callable[[Sample], None]:
        """Compare crops with the decoded frame, and sidecars with the labels."""
        decoded = decode_frame(row.where, contents[0])
        boxes = frame_boxes(row)
        places = {key: place for place, key in enumerate(self.keys(row))}

        def compare(sample: Sample) -> None:
            place = places[sample.key]
            wanted = {**_labels(row, place, recipe), "splits": recipe.splits, "extra": row.further(place)}
            compare_crop(sample, wanted, boxes[place], decoded, _cut(recipe.options), is_exact=is_exact)

        return compare


def _labels(frame: Frame, position: int, recipe: Recipe) -> dict[str, Any]:
    """Return what the labels say of a box, by field of the sidecar."""
    person_id, id_kind = frame.person_ids[position], frame.id_kinds[position]
    return {
        "frame": frame.name,
        "box_id": frame.box_ids[position],
        "person_id": person_id,
        "identity": find_identity(person_id, id_kind, recipe.splits, is_shared=recipe.choices["ids"] == "shared"),
        "id_kind": id_kind,
        "camera": frame.camera,
        "group_id": frame.group_id,
    }


def _lose_boxes(frame: Frame, position: int | None, reason: RejectReason, detail: str) -> list[Reject]:
    """Return a reject for the box, or for each box of the frame."""
    lost = range(frame.samples) if position is None else (position,)
    return [
        Reject(reason, frame.where, lost_box_name(frame.name, frame.box_ids[one]), frame.person_ids[one], 1, detail)
        for one in lost
    ]


def _check_size(frame: Frame, cut: FrameCrops) -> FrameFault | None:
    """Return a fault if the frame has another size than its labels say: its boxes would show something else."""
    width, height = cut.frame_size
    if frame.frame_width in {None, width} and frame.frame_height in {None, height}:
        return None
    detail = f"the frame is {width}x{height} pixels, but its labels say {frame.frame_width}x{frame.frame_height}"
    return FrameFault(RejectReason.IMAGE_SIZE_DIFFERS, detail)


def _note_orientation(frames: Sequence[Frame], contents: Sequence[Sequence[Content]], outcome: Outcome) -> None:
    """Note the frames that ask to be shown turned or mirrored. Boxes are those of the stored pixels."""
    for row in sorted(set(outcome.rows)):
        (content,) = contents[row]
        if isinstance(content, bytes) and _orientation(content) != 1:
            outcome.notes.append((Note.IMAGE_ORIENTED, frames[row].where))


def _orientation(data: bytes) -> int:
    try:
        return read_header(data).orientation
    except JpegError:
        return 1


def _cut(options: Options) -> CutOptions:
    assert options.cut is not None
    return options.cut
