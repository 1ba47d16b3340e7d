"""The demo of City1M: zips of street scenes by group size, and the label files of both protocols."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED

from pipeline.demo.city1m.backgrounds import Backgrounds, Place, visited_places
from pipeline.demo.city1m.frames import RenderedFrame, render_frame
from pipeline.demo.city1m.splits import SplitAssignment
from pipeline.demo.city1m.traps import EXTRA_MEMBERS, LABEL_STYLES, Planted, Trap, plan_traps
from pipeline.demo.city1m.writer import Archives, LabelFiles, Member, archive_name
from pipeline.demo.folder import DemoSummary, check_arguments, publish, work_folder
from pipeline.demo.parallel import processes
from pipeline.demo.world import GROUP_SIZES, Group, plan_frames, plan_groups
from shards_spec.cores import usable_cores

FEWEST_FRAMES = 20
FEWEST_FRAMES_WITH_TRAPS = 100

DEFLATED_SIZES = (3, 6)
"""Group sizes whose zips are deflated; those of other sizes are stored."""


def make_city1m(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw a look-alike of City1M; see ``make_demo``.

    It has at least 20 frames, or 100 with traps; a frame takes about 215 KB.
    """
    check_arguments(out, "city1m", images, FEWEST_FRAMES_WITH_TRAPS if traps else FEWEST_FRAMES, seed, workers)
    with work_folder(out) as work:
        streets, files = work / "streets", work / "files"
        streets.mkdir()
        files.mkdir()
        groups = list(plan_groups(images))
        drawn = _draw(Backgrounds(seed, streets), groups, workers or usable_cores())
        planting = _write_set(files, seed, groups, drawn, traps=traps, progress=progress)
        counts = {
            "frames": images,
            "members": sum(group.frames * group.size for group in groups),
            "groups": len(groups),
            "identities": sum(group.size for group in groups),
        }
        return publish(
            files,
            out,
            source="city1m",
            seed=seed,
            counts=counts,
            traps=planting.counts,
            planted=planting.places,
            rejected=planting.rejected_members,
        )


@dataclass(slots=True)
class _Planting:
    """What became of the traps: how often each was planted, where it shows, and how many members it can cost."""

    counts: Counter[str] = field(default_factory=Counter)
    places: list[Planted] = field(default_factory=list)
    rejected_members: int = 0


def _write_set(
    folder: Path,
    seed: int,
    groups: list[Group],
    drawn: Iterator[list[RenderedFrame]],
    *,
    traps: bool,
    progress: Callable[[int, int], None] | None,
) -> _Planting:
    """Draw all frames and write them in order."""
    assignment = SplitAssignment(seed, groups)
    planned = plan_traps(seed, groups, assignment) if traps else {}
    planting, styles = _Planting(), LABEL_STYLES if traps else {}
    done, total = 0, sum(group.frames for group in groups)
    methods = {archive_name(size): ZIP_DEFLATED if size in DEFLATED_SIZES else ZIP_STORED for size in GROUP_SIZES}
    with Archives(folder, methods) as archives, LabelFiles(folder, styles) as labels:
        for name, effect, member in EXTRA_MEMBERS if traps else ():
            archives.write(member)
            planting.counts[name] += 1
            planting.places.append(Planted(name, effect, member.archive, member=member.name))
        for group, rendered in zip(groups, drawn, strict=True):
            for frame, files in zip(rendered, assignment.label_files(group), strict=True):
                _write_frame(frame, files, planned.get(frame.name), archives, labels, planting)
                done += 1
                if progress is not None:
                    progress(done, total)
        blank_lines = labels.blank_lines
    for file, style in styles.items():
        if style.byte_order_mark:
            planting.places.append(Planted("byte order mark", "note", file, line=1))
        if style.line_end != b"\n":
            planting.places.append(Planted("carriage returns", "note", file))
    planting.places += [Planted("blank line", "note", file, line=line) for file, line in blank_lines]
    planting.counts.update(place.trap for place in planting.places if place.frame is None and place.member is None)
    return planting


def _write_frame(
    frame: RenderedFrame,
    files: tuple[str, ...],
    trap: Trap | None,
    archives: Archives,
    labels: LabelFiles,
    planting: _Planting,
) -> None:
    """Write a frame and its lines as its trap alters them, and record where the trap shows."""
    archive = archive_name(frame.group_size)
    members: tuple[Member, ...] = (Member(archive, f"Images_{frame.group_size}/{frame.name}", frame.jpeg),)
    lines: dict[str, tuple[str, ...]] = dict.fromkeys(files, (frame.line,))
    if trap is not None:
        members, lines = trap.apply(frame, (members, lines))
        planting.counts[trap.name] += 1
        planting.rejected_members += frame.group_size if trap.effect == "reject" else 0
    for member in members:
        archives.write(member)
        if trap is not None and trap.place == "member":
            place = Planted(trap.name, trap.effect, member.archive, member=member.name, frame=frame.name)
            planting.places.append(place)
    for file, texts in lines.items():
        for text in texts:
            number = labels.write(file, text)
            if trap is not None and trap.place == "line":
                planting.places.append(Planted(trap.name, trap.effect, file, line=number, frame=frame.name))


def _draw(backgrounds: Backgrounds, groups: list[Group], workers: int) -> Iterator[list[RenderedFrame]]:
    """Yield each group's frames in the order of the groups, of which only a few wait in memory at a time."""
    with processes(workers) as run:
        places = visited_places(backgrounds.seed, groups)
        qualities = dict(zip(places, run(backgrounds.draw, places), strict=True))
        yield from run(partial(_draw_group, backgrounds, qualities), groups)


def _draw_group(backgrounds: Backgrounds, qualities: dict[Place, int], group: Group) -> list[RenderedFrame]:
    """Draw a group's frames in their order."""
    drawn = []
    for frame in plan_frames(backgrounds.seed, group):
        place = (frame.camera.number, frame.time)
        drawn.append(render_frame(backgrounds.seed, frame, backgrounds.load(place), qualities[place]))
    return drawn
