"""The command that makes a small data set to try things with: ``demo``."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.answers import JsonOption, QuietOption, print_json, progress, results
from pipeline.cli.parameters import WorkersOption
from pipeline.cli.progress import ProgressLine
from pipeline.cli.shown import shown
from pipeline.cli.values import begins_with, one_of, whole_number
from pipeline.sources.registry import SOURCES
from shards_spec.options import MAX_INT64, Range
from shards_spec.requirements import require_pillow
from shards_spec.text import spell_bytes

_IMAGES = Range(1, 100_000)
_SEED = Range(0, MAX_INT64)
_FIRST = next(iter(SOURCES))


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make it in.", show_default=False)],
    *,
    source: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What to make a look-alike of: "
            + ", ".join(f"{source.name} ({source.title})" for source in SOURCES.values())
            + ".",
            autocompletion=begins_with(SOURCES),
        ),
    ] = _FIRST,
    images: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=f"Images or models to make. From {_IMAGES}; each kind of demo says how few are too few.",
            parser=whole_number("--images", _IMAGES),
            show_default="some hundreds, by kind",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help=f"The same seed draws the same bytes. From {_SEED}.", parser=whole_number("--seed", _SEED)
        ),
    ] = 0,
    traps: Annotated[
        bool,
        typer.Option("--traps", help="Add the surprises of real labels and archives; traps.json there names them."),
    ] = False,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a small look-alike of a dataset: its archives and label files, with drawn persons in drawn streets."""
    require_pillow("demo")
    from pipeline.demo import DEMOS, make_demo

    one_of("--source", list(DEMOS))(source)
    count = DEMOS[source].images if images is None else images
    with ProgressLine(progress(quiet=quiet), "demo", count, "images") as line:

        def show(done: int, _: int) -> None:
            line.update(done - line.done)

        summary = make_demo(out, source=source, images=count, seed=seed, traps=traps, workers=workers, progress=show)
    if as_json:
        print_json(command="demo", source=source, folder=out, **{**asdict(summary), "files": list(summary.files)})
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.counts.items())
    told = results(as_json=as_json, quiet=quiet)
    told.print(f"{shown(out)}: {counts}, {spell_bytes(summary.bytes)}")
    place = shown(shlex.quote(str(out)))
    told.print(f"next: reid-shards convert {place} {place}-shards")
