"""The command that makes a small data set to try things with: ``demo``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import console, error_console
from pipeline.cli.parameters import WorkersOption
from pipeline.cli.progress import ProgressLine
from shards_spec.requirements import require_pillow
from shards_spec.text import spell_bytes


class DemoSource(StrEnum):
    """The kinds of sources of which there is a look-alike."""

    CITY1M = "city1m"
    CITY1M_LITE = "city1m-lite"
    PERSON_MODELS = "person-models"
    SYSU30K = "sysu30k"
    COCO = "coco"
    BOXES_TABLE = "boxes-table"
    CROPS_TABLE = "crops-table"
    CROPS_FOLDER = "crops-folder"


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make it in.", show_default=False)],
    *,
    source: Annotated[DemoSource, typer.Option(help="The kind of source to make a look-alike of.")] = DemoSource.CITY1M,
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            metavar="N",
            help="Images to draw: frames of City1M (20 or more, with --traps 100), labelled "
            "frames of City1M-Lite (20 or more, with --traps 60), crops of SYSU-30k (120 or more), "
            "models (12 or more), "
            "frames of coco and boxes-table (10 or more, with --traps 35), crops of the others (60 or more).",
            show_default="400 frames of City1M or City1M-Lite, 2,000 crops of SYSU-30k, 60 models; 120 frames or 600 "
            "crops of others",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed draws the same bytes.")] = 0,
    traps: Annotated[
        bool,
        typer.Option("--traps", help="Add the surprises of real labels and archives; traps.json there names them."),
    ] = False,
    workers: WorkersOption = None,
) -> None:
    """Make a small look-alike of a dataset: its archives and label files, with drawn persons in drawn streets."""
    require_pillow("demo")
    from pipeline.demo import DEMOS, make_demo

    count = DEMOS[source].images if images is None else images
    with ProgressLine(error_console, "demo", count, "images") as progress:

        def show(done: int, _: int) -> None:
            progress.update(done - progress.done)

        summary = make_demo(out, source=source, images=count, seed=seed, traps=traps, workers=workers, progress=show)
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.counts.items())
    console.print(f"{out}: {counts}, {spell_bytes(summary.bytes)}")
