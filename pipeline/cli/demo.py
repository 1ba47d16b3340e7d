"""The command that makes a small data set to try things with: ``demo``."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import console, error_console
from pipeline.cli.parameters import WorkersOption
from pipeline.cli.progress import ProgressLine, byte_count
from shards_spec.requirements import require_pillow


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make it in.", show_default=False)],
    *,
    frames: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Frames to render: 20 or more, with --traps 100.")
    ] = 400,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed renders the same bytes.")] = 0,
    traps: Annotated[
        bool,
        typer.Option("--traps", help="Add what real label files and archives surprise with; see traps.json there."),
    ] = False,
    workers: WorkersOption = None,
) -> None:
    """Make a small look-alike of City1M: rendered street scenes, zips by group size, all six label files."""
    require_pillow("demo")
    from pipeline.demo import make_demo

    with ProgressLine(error_console, "demo", frames, "frames") as progress:

        def show(done: int, _: int) -> None:
            progress.update(done - progress.done)

        summary = make_demo(out, frames=frames, seed=seed, traps=traps, workers=workers, progress=show)
    console.print(
        f"{out}: {summary.frames:,} frames of {summary.groups:,} groups, {summary.members:,} labelled members, "
        f"{byte_count(summary.bytes)}"
    )
