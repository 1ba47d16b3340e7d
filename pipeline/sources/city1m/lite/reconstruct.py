"""The plan of a reconstruction: which crops stand where in each labelled frame, in parts that tasks do."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.archives import Part
from pipeline.options import OptionGroup
from pipeline.sources.catalog import first_reject
from pipeline.sources.city1m.labels.decisions import BOX_COLUMNS, decide_box_order
from pipeline.sources.city1m.labels.groups import Groups, list_groups
from pipeline.sources.city1m.labels.merge import LabelledFrames, merge_lines
from pipeline.sources.city1m.labels.read import Labels, missing_splits, read_labels
from pipeline.sources.city1m.lite.backgrounds import Background, Place, find_backgrounds
from pipeline.sources.city1m.lite.crops import Crops, read_crops
from pipeline.sources.city1m.lite.draw import CROP_COLUMNS, FramesToDraw, draw_frames
from pipeline.sources.city1m.lite.match import Matched, match_crops
from pipeline.sources.city1m.lite.survey import usable_boxes
from pipeline.sources.city1m.options import ReconstructionOptions
from pipeline.sources.reconstruction import Reconstruction
from shards_spec.errors import UsageError
from shards_spec.storage import Store, open_store

FRAMES_A_PART = 500
FEWEST_FRAMES_A_PART = 5
PARTS = 64
"""Few frames are drawn in about this many parts, so that all cores have work."""

_Int64 = npt.NDArray[np.int64]


def plan_reconstruction(
    source: Store,
    out_url: str,
    options: OptionGroup,
    versions: Mapping[str, str],
    progress: Callable[[str], None],
) -> Reconstruction:
    """Plan the reconstruction of all labelled frames. See ``PlanReconstruction``."""
    assert isinstance(options, ReconstructionOptions)
    labels = source if options.labels is None else open_store(options.labels)
    lines = read_labels(labels, progress)
    frames = merge_lines(lines)
    if not len(frames.counts):
        raise UsageError(
            f"{labels.url}: none of the {lines.lines} label lines labels a frame{first_reject(lines.rejects)}"
        )
    groups = list_groups(frames)
    crops = read_crops(source, progress)
    has_box = usable_boxes(frames)
    crop_of_label = np.where(has_box, _choose_crops(crops, match_crops(crops, frames, groups), groups, frames), -1)
    frame_of_label = np.repeat(np.arange(len(frames.counts)), frames.counts)
    has_member = np.zeros(len(frames.counts), bool)
    has_member[frame_of_label[crop_of_label >= 0]] = True
    chosen = np.flatnonzero(has_member)
    if not len(chosen):
        raise UsageError(f"{source.url}: there is no crop of any labelled member, so no frame can be put together")
    chosen = chosen[np.argsort(groups.of_frame[chosen], kind="stable")]  # a part needs few crops
    places = [(int(camera), time) for camera, time in _places(groups, chosen)]
    needed = sorted(set(places))
    backgrounds = find_backgrounds(source, needed, options.backgrounds or ())
    order = decide_box_order(options.box_order, frames.values, has_box, _common_size(backgrounds))
    identity = {
        "box order": order.choice,
        **{f"background {camera}-{time}": one.where for (camera, time), one in backgrounds.items()},
        **{f"bytes of {one.where}": hashlib.sha256(one.data).hexdigest() for one in backgrounds.values()},
        **{file.file: file.sha256 for file in [*crops.sources, *lines.sources]},
        **versions,
    }
    columns = _members(frames, crop_of_label, BOX_COLUMNS[order.choice])
    parts, sizes = [], []
    step = min(FRAMES_A_PART, max(FEWEST_FRAMES_A_PART, -(-len(chosen) // PARTS)))
    for start in range(0, len(chosen), step):
        some = chosen[start : start + step]
        argument = _part(some, places[start : start + step], groups, columns, crops, backgrounds, out_url)
        parts.append(Part(json.dumps([identity, start, len(some), len(chosen)]), argument))
        sizes.append(len(some))
    return Reconstruction(
        work=draw_frames,
        parts=parts,
        frames=sizes,
        members=len(columns.crops),
        identity=identity,
        notes=_notes(backgrounds, order.choice),
        left_out=[*_unread_labels(labels, lines), *_left_out(has_box, crop_of_label, has_member)],
    )


def _places(groups: Groups, chosen: _Int64) -> list[tuple[int, str]]:
    times = groups.names.times.take(pa.array(chosen)).to_pylist()
    return list(zip(groups.names.cameras[chosen].tolist(), times, strict=True))


def _common_size(backgrounds: Mapping[Place, Background]) -> tuple[int, int]:
    sizes = [background.size for background in backgrounds.values()]
    return max(set(sizes), key=lambda size: (sizes.count(size), size))


def _choose_crops(crops: Crops, matched: Matched, groups: Groups, frames: LabelledFrames) -> _Int64:
    """Return the crop that stands for each label, -1 if there is none, ``[labels]``.

    It is the one that was cut out of this very frame, else one that belongs to the group and the member, else one of
    another frame.
    """
    is_readable = matched.members >= 0
    is_readable[list(crops.faults)] = False
    rows = np.flatnonzero(is_readable)
    of_member = np.full(len(groups.members), -1, np.int64)
    for some in (rows[matched.frames[rows] >= 0], rows[matched.frames[rows] < 0]):  # the latter replace the former
        of_member[matched.members[some[::-1]]] = some[::-1]  # the first of several is written last
    frame_of_label = matched.label_codes >> 32
    codes = groups.of_frame[frame_of_label].astype(np.int64) << 32 | frames.person_ids
    chosen: _Int64 = of_member[np.searchsorted(groups.members, codes)]
    exact = rows[matched.labels[rows] >= 0][::-1]
    chosen[matched.labels[exact]] = exact
    return chosen


class _Columns:
    """The members that are drawn, with where each frame's begin: a row for each label that has a crop."""

    def __init__(self, starts: _Int64, crops: _Int64, boxes: npt.NDArray[np.float64]) -> None:
        self.starts, self.crops, self.boxes = starts, crops, boxes


def _members(frames: LabelledFrames, crop_of_label: _Int64, columns: list[int]) -> _Columns:
    drawn = crop_of_label >= 0
    before = np.concatenate([[0], np.cumsum(drawn)])
    return _Columns(before[frames.starts], crop_of_label[drawn], frames.values[drawn][:, [*columns, 4]])


def _part(
    some: _Int64,
    places: list[Place],
    groups: Groups,
    columns: _Columns,
    crops: Crops,
    backgrounds: Mapping[Place, Background],
    out_url: str,
) -> FramesToDraw:
    """Return the argument of a task: the frames in ``some``."""
    members = [np.arange(columns.starts[frame], columns.starts[frame + 1]) for frame in some.tolist()]
    rows, numbers = np.unique(columns.crops[np.concatenate(members)], return_inverse=True)
    ends = np.cumsum([0, *map(len, members)]).astype(np.int32)
    sizes = groups.names.member_counts[some].tolist()
    stems = groups.stems.take(pa.array(some)).to_pylist()
    table: dict[str, Any] = {
        "path": pa.array([f"Images_{size}/{stem}.jpg" for size, stem in zip(sizes, stems, strict=True)], pa.string()),
        "place": pa.array([f"{camera}-{time}" for camera, time in places], pa.string()),
        "crops": pa.ListArray.from_arrays(pa.array(ends), pa.array(numbers.astype(np.int32))),
        "boxes": pa.ListArray.from_arrays(
            pa.array(5 * ends), pa.array(columns.boxes[np.concatenate(members)].reshape(-1))
        ),
    }
    needed = {f"{camera}-{time}": backgrounds[camera, time].request for camera, time in sorted(set(places))}
    return FramesToDraw(out_url, pa.table(table), crops.table.select(CROP_COLUMNS).take(pa.array(rows)), needed)


def _notes(backgrounds: Mapping[Place, Background], order: str) -> list[str]:
    notes = [f"camera {camera} by {time}: {one.where}" for (camera, time), one in sorted(backgrounds.items())]
    return [*notes, f"the numbers of boxes are {', '.join(order)}"]


def _unread_labels(store: Store, lines: Labels) -> Iterator[str]:
    """Yield a sentence on the label lines that cannot be read, and one for each label file that is not whole."""
    if lines.rejects:
        first = lines.rejects[0]
        yield (
            f"{len(lines.rejects):,} of {lines.lines:,} label lines cannot be read, such as {first.where}: "
            f"{first.detail}"
        )
    yield from lines.gaps
    yield from missing_splits(store, lines.files)


def _left_out(
    has_box: npt.NDArray[np.bool_], crop_of_label: _Int64, has_member: npt.NDArray[np.bool_]
) -> Iterator[str]:
    for is_left_out, what in (
        (~has_box, "labels have no box that counts, so that these members are not drawn"),
        (has_box & (crop_of_label < 0), "labels are of members without a crop that can be read, who are not drawn"),
        (~has_member, "labelled frames have no member who can be drawn, and are left out"),
    ):
        if is_left_out.any():
            yield f"{np.count_nonzero(is_left_out):,} of {len(is_left_out):,} {what}"
