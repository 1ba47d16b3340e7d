import json
import multiprocessing
import os
import shutil
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.frames import RenderedFrame, choose_quality, render_frame
from pipeline.demo.scene import render_background
from pipeline.demo.splits import SplitAssignment
from pipeline.demo.traps import EXTRA_MEMBERS, LABEL_STYLES, Planted, Trap, plan_traps
from pipeline.demo.world import CAMERAS, Camera, Group, Time, plan_frames, plan_groups
from pipeline.demo.writer import Archives, LabelFiles, Member, archive_name
from shards_spec.errors import UsageError

FEWEST_FRAMES = 20
FEWEST_FRAMES_WITH_TRAPS = 100
MARKER = "demo.json"
MADE_BY = "reid-shards demo"
TRAPS_FILE = "traps.json"
WORK_FOLDER = ".demo-work"

Place = tuple[int, Time]
"""A camera's number and the time of day."""
Argument = TypeVar("Argument")
Result = TypeVar("Result")


class DemoError(UsageError):
    """The folder or the options make no sense; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was made.

    Attributes:
        frames: Frames drawn.
        members: Persons in them, counted in every frame.
        groups: Groups of persons.
        identities: Different persons.
        bytes: Size of all files of the set together.
        files: The sorted names of the files, without ``demo.json``, which holds this summary and marks the folder as a
            demo.
        traps: How often each trap was planted, by name; empty without traps.
        rejected_members: The largest number of labelled members that a conversion loses because of traps.
    """

    frames: int
    members: int
    groups: int
    identities: int
    bytes: int
    files: tuple[str, ...]
    traps: dict[str, int]
    rejected_members: int


def make_demo(
    out: Path,
    *,
    frames: int = 400,
    seed: int = 0,
    traps: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Draw a small look-alike of City1M: zips of street scenes by group size, and the label files of both protocols.

    The same arguments give the same bytes, whatever the number of workers. Files appear in ``out`` only when all of
    them are complete. A demo that is already there is overwritten.

    Args:
        out: The folder, which is created if it is missing.
        frames: How many frames, at least 20, or 100 with traps; about 215 KB each.
        seed: The seed of the drawings. Another seed gives other persons on other walks.
        traps: Whether to plant every surprise that real label files and zips have; ``traps.json`` then says where.
        workers: Number of processes that draw; by default one per core.
        progress: A function that is called with the number of frames done and of frames to draw.

    Raises:
        DemoError: ``out`` holds something else than a demo, or an argument is out of range.
    """
    _check(out, frames, seed, traps=traps, workers=workers)
    work = out / WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)  # removes what a killed run left
    backgrounds, files = work / "backgrounds", work / "files"
    backgrounds.mkdir(parents=True)
    files.mkdir()
    try:
        renderer = _GroupRenderer(seed, backgrounds, workers or len(os.sched_getaffinity(0)))
        groups = list(plan_groups(frames))
        planting = _write_set(files, renderer, groups, traps=traps, progress=progress)
        if traps:
            places = [asdict(place) for place in planting.places]
            (files / TRAPS_FILE).write_text(json.dumps(places, indent=1) + "\n", encoding="utf-8")
        summary = DemoSummary(
            frames=frames,
            members=sum(group.frames * group.size for group in groups),
            groups=len(groups),
            identities=sum(group.size for group in groups),
            bytes=sum(file.stat().st_size for file in files.iterdir()),
            files=tuple(sorted(file.name for file in files.iterdir())),
            traps=dict(sorted(planting.counts.items())),
            rejected_members=planting.rejected_members,
        )
        (files / MARKER).write_text(
            json.dumps({"made_by": MADE_BY, "seed": seed, **asdict(summary)}, indent=1) + "\n", encoding="utf-8"
        )
        _publish(files, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return summary


def _check(out: Path, frames: int, seed: int, *, traps: bool, workers: int | None) -> None:
    fewest = FEWEST_FRAMES_WITH_TRAPS if traps else FEWEST_FRAMES
    if frames < fewest:
        raise DemoError(
            f"{frames} frames are too few for a demo{' with traps' if traps else ''}: ask for {fewest} or more"
        )
    if seed < 0:
        raise DemoError(f"seed {seed} is negative: choose 0 or more")
    if workers is not None and workers < 1:
        raise DemoError(f"{workers} workers draw nothing: ask for 1 or more")
    if out.exists() and not out.is_dir():
        raise DemoError(f"{out} is a file: name a folder that is new or empty")
    names = {path.name for path in out.iterdir()} - {WORK_FOLDER} if out.exists() else set()
    # City1M's own files have the same names: without the marker, nothing in the folder may be overwritten.
    if names and (MARKER not in names or MADE_BY not in (out / MARKER).read_text(encoding="utf-8")):
        raise DemoError(
            f"{out} is not empty and holds no demo ({len(names)} entries): name a folder that is new or empty"
        )


def _publish(files: Path, out: Path) -> None:
    """Move the complete files into place, the marker first, so that the folder is known to be a demo from then on."""
    (out / TRAPS_FILE).unlink(missing_ok=True)
    for file in sorted(files.iterdir(), key=lambda file: (file.name != MARKER, file.name)):
        file.replace(out / file.name)


@dataclass(slots=True)
class _Planting:
    """What became of the traps: how often each was planted, where it shows, and how many members it can cost."""

    counts: Counter[str] = field(default_factory=Counter)
    places: list[Planted] = field(default_factory=list)
    rejected_members: int = 0


def _write_set(
    folder: Path,
    renderer: "_GroupRenderer",
    groups: list[Group],
    *,
    traps: bool,
    progress: Callable[[int, int], None] | None,
) -> _Planting:
    """Draw all frames and write them in order."""
    assignment = SplitAssignment(renderer.seed, groups)
    planned = plan_traps(renderer.seed, groups, assignment) if traps else {}
    planting, styles = _Planting(), LABEL_STYLES if traps else {}
    done, total = 0, sum(group.frames for group in groups)
    with Archives(folder) as archives, LabelFiles(folder, styles) as labels:
        for name, effect, member in EXTRA_MEMBERS if traps else ():
            archives.write(member)
            planting.counts[name] += 1
            planting.places.append(Planted(name, effect, member.archive, member=member.name))
        for group, rendered in zip(groups, renderer.draw(groups), strict=True):
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


@dataclass(frozen=True, slots=True)
class _GroupRenderer:
    """Draws groups in several processes.

    Attributes:
        seed: The demo's seed.
        folder: The folder of the empty streets, each of which is drawn once and read by every process.
        workers: The number of processes.
    """

    seed: int
    folder: Path
    workers: int

    def draw(self, groups: list[Group]) -> Iterator[list[RenderedFrame]]:
        """Yield each group's frames in the order of the groups, of which only a few wait in memory at a time."""
        if self.workers == 1:
            yield from self._draw(groups, map)
            return
        executor = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), _ignore_interrupts)
        try:
            yield from self._draw(groups, partial(_map_ahead, executor, 2 * self.workers))
        finally:
            executor.shutdown(cancel_futures=True)

    def _draw(self, groups: list[Group], run: Callable[..., Iterator[Any]]) -> Iterator[list[RenderedFrame]]:
        places = sorted(_places(self.seed, groups))
        qualities = dict(zip(places, run(partial(_prepare, self.seed, self.folder), places), strict=True))
        yield from run(partial(_draw_group, self.seed, self.folder, qualities), groups)


def _ignore_interrupts() -> None:
    """Let only the parent receive Ctrl-C, so that it can end its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _map_ahead(
    executor: ProcessPoolExecutor, ahead: int, function: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> Iterator[Result]:
    """Yield results in the order of the arguments, while at most ``ahead`` of them are in progress or waiting."""
    waiting: deque[Future[Result]] = deque()
    for argument in arguments:
        waiting.append(executor.submit(function, argument))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _places(seed: int, groups: list[Group]) -> set[Place]:
    """Return which cameras are visited at which times."""
    places: set[Place] = set()
    for group in groups:
        places |= {(frame.camera.number, frame.time) for frame in plan_frames(seed, group)}
        if len(places) == 2 * len(CAMERAS):
            break
    return places


def _background_path(seed: int, folder: Path, place: Place) -> Path:
    return folder / f"{seed}-{place[0]}-{place[1]}.npy"


def _camera(number: int) -> Camera:
    return next(camera for camera in CAMERAS if camera.number == number)


def _prepare(seed: int, folder: Path, place: Place) -> int:
    """Draw and store an empty street, and return the JPEG quality of the frames that are taken there."""
    camera, time = _camera(place[0]), place[1]
    background = render_background(seed, camera, time)
    np.save(_background_path(seed, folder, place), background)
    return choose_quality(seed, camera, time, background)


@lru_cache(maxsize=2 * len(CAMERAS))
def _load(path: Path) -> NDArray[np.uint8]:
    background: NDArray[np.uint8] = np.load(path)
    return background


def _draw_group(seed: int, folder: Path, qualities: dict[Place, int], group: Group) -> list[RenderedFrame]:
    """Draw a group's frames in their order."""
    drawn = []
    for frame in plan_frames(seed, group):
        place = (frame.camera.number, frame.time)
        drawn.append(render_frame(seed, frame, _load(_background_path(seed, folder, place)), qualities[place]))
    return drawn
