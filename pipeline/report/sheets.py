"""Contact sheets: which samples are shown. The choice depends on the set and a fixed seed only."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.report.rows import SetRows

SEED = 0
RANDOM, OTHERS = 24, 12
"""Samples on the sheet of random ones, and on each other one."""
GROUPS, VIEWS, PEOPLE = 3, 6, 6
"""Groups that are shown, and how many views and members of each at most."""
_CANDIDATES = 32
"""Groups at random, of which those seen from the most sides are shown."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Samples to show beside each other."""

    name: str
    title: str
    about: str
    rows: tuple[int, ...]
    query: str
    """The rest of a DuckDB query over the indexes that finds them."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera and a time of day."""

    camera: int
    """Its number; negative if it is not known."""
    time: str
    """Empty if it is not known."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group as several cameras see it."""

    name: str
    views: tuple[View, ...]
    people: tuple[tuple[str, tuple[int | None, ...]], ...]
    """Each identity with its row in each view; None where the frame does not show it."""


def choose_sheets(rows: SetRows) -> list[Sheet]:
    """Return the sheets of a set; those without a sample are left out, as are all if samples have no image."""
    if rows.columns.image is None:
        return []
    area = rows.numbers("width").astype(np.int64) * rows.numbers("height")
    random = _draw(np.arange(rows.table.num_rows), RANDOM)
    size = "roi_width * roi_height"
    sheets = [
        Sheet("random", "Random samples", "Drawn with a fixed seed.", random, "using sample 24"),
        Sheet("smallest", "Smallest", "Those with the fewest pixels.", _first(area), f"order by {size} limit 12"),
        Sheet("largest", "Largest", "Those with the most pixels.", _first(-area), f"order by {size} desc limit 12"),
    ]
    if rows.columns.is_cut:
        sheets.append(
            Sheet(
                "clamped",
                "Cut by the edge of the frame",
                "Boxes that reach beyond their frame; what lies outside is not in the image.",
                _draw(np.flatnonzero(rows.numbers("clamped")), OTHERS),
                "where box_x < 0 or box_y < 0 or box_x + box_w > frame_width or box_y + box_h > frame_height",
            )
        )
    return [sheet for sheet in sheets if sheet.rows]


def choose_groups(rows: SetRows) -> list[Group]:
    """Return the groups to show: of some at random, those that the most cameras saw."""
    if rows.columns.image is None or rows.columns.camera is None:
        return []
    codes, names = rows.codes(rows.columns.group), rows.values(rows.columns.group)
    candidates = np.random.default_rng(SEED).permutation(len(names))[:_CANDIDATES]
    groups = [_group(rows, np.flatnonzero(codes == code), names[int(code)].as_py()) for code in candidates]
    groups.sort(key=lambda group: -len(group.views) * min(2, len(group.people)))  # a stable order
    return groups[:GROUPS]


def _draw(rows: np.ndarray, count: int) -> tuple[int, ...]:
    drawn = np.random.default_rng(SEED).choice(rows, min(count, len(rows)), replace=False)
    return tuple(sorted(drawn.tolist()))


def _first(order: np.ndarray) -> tuple[int, ...]:
    """Return the rows with the lowest values; of equal ones, the first rows."""
    count = min(OTHERS, len(order))
    if not count:
        return ()
    limit = np.partition(order, count - 1)[count - 1]
    found = np.flatnonzero(order <= limit)
    return tuple(found[np.argsort(order[found], kind="stable")][:count].tolist())


def _group(rows: SetRows, members: np.ndarray, name: str) -> Group:
    """Lay out a group: a column a view, in which one frame is shown, or all samples where there are no frames."""
    camera, time = rows.cameras(), rows.codes(rows.columns.time)
    times = rows.values(rows.columns.time).to_pylist()
    shown: dict[tuple[int, int], np.ndarray] = {}
    for frame in _frames(rows, members):
        view = int(camera[frame[0]]), int(time[frame[0]])
        if len(frame) > len(shown.get(view, ())):
            shown[view] = frame
    columns = sorted(shown.items())[:VIEWS]
    return Group(
        name,
        tuple(View(place, times[when] if when >= 0 else "") for (place, when), _ in columns),
        tuple(_people(rows, [frame for _, frame in columns])),
    )


def _frames(rows: SetRows, members: np.ndarray) -> list[np.ndarray]:
    """Return a group's samples by frame; where each sample is a unit of its own, by camera and time."""
    begins = rows.numbers("begins_unit")[members]
    if not begins.all():
        return np.split(members, np.flatnonzero(begins)[1:])
    views = np.stack([rows.cameras()[members], rows.codes(rows.columns.time)[members]])
    _, of_view = np.unique(views, axis=1, return_inverse=True)
    return [members[of_view.ravel() == view] for view in range(of_view.max(initial=-1) + 1)]


def _people(rows: SetRows, frames: list[np.ndarray]) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    identity, names = rows.codes(rows.columns.identity), rows.values(rows.columns.identity)
    places = [
        {int(identity[row]): int(row) for row in reversed(frame.tolist())} for frame in frames
    ]  # the first of each
    found = sorted((names[code].as_py(), code) for code in set().union(*places) if code >= 0)
    for name, code in found[:PEOPLE]:
        yield name, tuple(place.get(code) for place in places)
