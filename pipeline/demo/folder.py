"""The folder of a demo: which one may be overwritten, and how a complete demo appears in it."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.sources.demo_marker import MADE_BY, MARKER, demo_source
from shards_spec.errors import UsageError

TRAPS_FILE = "traps.json"
WORK_FOLDER = ".demo-work"


class DemoError(UsageError):
    """The folder or the options make no sense; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was made.

    Attributes:
        counts: What the demo holds, by name, such as "frames" and "groups".
        bytes: Size of all files together.
        files: The sorted names of the files, without ``demo.json``, which holds this summary and marks the folder as a
            demo.
        traps: How often each trap was planted, by name; empty without traps.
        rejected: The largest number of samples that a conversion loses because of traps.
    """

    counts: dict[str, int]
    bytes: int
    files: tuple[str, ...]
    traps: dict[str, int]
    rejected: int


def check_arguments(out: Path, source: str, count: int, least: int, seed: int, workers: int | None) -> None:
    """Raise ``DemoError`` if a demo cannot be made with these arguments, or ``out`` holds something else.

    Args:
        out: The folder.
        source: Name of the kind of source that the demo looks like.
        count: How many images to draw.
        least: The smallest number of images for which there is a demo.
        seed: The seed of the drawings.
        workers: Number of processes, or None.
    """
    if count < least:
        raise DemoError(f"{count} images are too few for this demo: ask for {least} or more")
    if seed < 0:
        raise DemoError(f"seed {seed} is negative: choose 0 or more")
    if workers is not None and workers < 1:
        raise DemoError(f"{workers} workers draw nothing: ask for 1 or more")
    if out.exists() and not out.is_dir():
        raise DemoError(f"{out} is a file: name a folder that is new or empty")
    names = {path.name for path in out.iterdir()} - {WORK_FOLDER} if out.exists() else set()
    # A real dataset's files have the same names: without the marker, nothing in the folder may be overwritten.
    if names and _source_of(out / MARKER) != source:
        raise DemoError(
            f"{out} is not empty and holds no demo of {source} ({len(names)} entries): name a folder that is new or "
            "empty"
        )


def _source_of(marker: Path) -> str | None:
    """Return the name of the source that the demo beside a marker looks like; None if there is no such demo."""
    try:
        return demo_source(marker.read_bytes())
    except OSError:
        return None


@contextlib.contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Return an empty folder below ``out`` for the work, which is removed after the block."""
    work = out / WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)  # removes what a killed run left
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def publish(
    files: Path,
    out: Path,
    *,
    source: str,
    seed: int,
    counts: Mapping[str, int],
    traps: Mapping[str, int],
    planted: Sequence[Any],
    rejected: int,
) -> DemoSummary:
    """Move a complete demo into place, the marker first, so that the folder is known to be a demo from then on.

    Args:
        files: The folder with the demo's files.
        out: The folder to move them to, which holds nothing or an earlier demo.
        source: Name of the kind of source that the demo looks like.
        seed: The seed of the drawings.
        counts: What the demo holds, by name.
        traps: How often each trap was planted, by name.
        planted: Dataclasses, one for each place at which a trap shows, for ``traps.json``.
        rejected: The largest number of samples that a conversion loses because of traps.
    """
    if planted:
        text = json.dumps([asdict(place) for place in planted], indent=1)
        (files / TRAPS_FILE).write_text(text + "\n", encoding="utf-8")
    made = [file for file in sorted(files.rglob("*")) if file.is_file()]
    summary = DemoSummary(
        counts=dict(counts),
        bytes=sum(file.stat().st_size for file in made),
        files=tuple(sorted(str(file.relative_to(files)) for file in made)),
        traps=dict(sorted(traps.items())),
        rejected=rejected,
    )
    marker = {"made_by": MADE_BY, "source": source, "seed": seed, **asdict(summary)}
    (files / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    (files / MARKER).replace(out / MARKER)
    (out / TRAPS_FILE).unlink(missing_ok=True)  # an earlier demo may have had traps
    for name in summary.files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).replace(out / name)
    return summary
