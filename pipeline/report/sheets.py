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
    time: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group as several cameras see it."""

    name: str
    views: tuple[View, ...]
    people: tuple[tuple[str, tuple[int | None, ...]], ...]
    """Each identity with its row in each view; None where the frame does not show it."""


def choose_sheets(rows: SetRows) -> list[Sheet]:
    """Return the sheets of a set; those without a sample are left out."""
    count = rows.table.num_rows
    area = rows.numbers("width").astype(np.int64) * rows.numbers("height")
    clamped = np.flatnonzero(rows.numbers("clamped"))
    sheets = [
        Sheet(
            "random", "Random samples", "Drawn with a fixed seed.", _draw(np.arange(count), RANDOM), "using sample 24"
        ),
        Sheet(
            "smallest",
            "Smallest",
            "The persons with the fewest pixels.",
            _first(area),
            "order by roi_width * roi_height limit 12",
        ),
        Sheet(
            "largest",
            "Largest",
            "The persons with the most pixels.",
            _first(-area),
            "order by roi_width * roi_height desc limit 12",
        ),
        Sheet(
            "clamped",
            "Cut by the edge of the frame",
            "Boxes that reach beyond their frame; what lies outside is not in the image.",
            _draw(clamped, OTHERS),
            "where box_x < 0 or box_y < 0 or box_x + box_w > frame_width or box_y + box_h > frame_height",
        ),
    ]
    return [sheet for sheet in sheets if sheet.rows]


def choose_groups(rows: SetRows) -> list[Group]:
    """Return the groups to show: of some at random, those that the most cameras saw."""
    codes = rows.codes("group_id")
    names = rows.values("group_id")
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
    """Lay out a group: a column a view, in which one frame is shown, and a row an identity."""
    frames = np.split(members, np.flatnonzero(rows.numbers("begins_unit")[members])[1:]) if len(members) else []
    camera, time, times = rows.numbers("camera"), rows.codes("time"), rows.values("time").to_pylist()
    shown: dict[tuple[int, int], np.ndarray] = {}
    for frame in frames:
        view = int(camera[frame[0]]), int(time[frame[0]])
        if len(frame) > len(shown.get(view, ())):
            shown[view] = frame
    columns = sorted(shown.items())[:VIEWS]
    return Group(
        name,
        tuple(View(place, times[when] if when >= 0 else "") for (place, when), _ in columns),
        tuple(_people(rows, [frame for _, frame in columns])),
    )


def _people(rows: SetRows, frames: list[np.ndarray]) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    identity, names = rows.codes("identity"), rows.values("identity")
    places = [{int(identity[row]): int(row) for row in frame.tolist()} for frame in frames]
    found = sorted((names[code].as_py(), code) for code in set().union(*places) if code >= 0)
    for name, code in found[:PEOPLE]:
        yield name, tuple(place.get(code) for place in places)
