"""The commands that read a source: ``plan`` and ``convert``."""

from typing import Annotated

import typer

from pipeline.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SHORT, console, error_console
from pipeline.cli.parameters import OutArgument, WorkersOption, takes_options
from pipeline.cli.shown import shown
from pipeline.options import CITY1M, Options
from shards_spec.requirements import require_convert

SourceArgument = Annotated[
    str, typer.Argument(metavar="SRC", help="Folder or URL (s3://...) with City1M's Images_*.zip.", show_default=False)
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder or URL with train_part1.txt, query_part1.txt, gallery_part1.txt and the same with part2.",
        show_default="SRC",
        rich_help_panel=CITY1M,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        help="Ray cluster to run on; each of its nodes must see SRC and OUT under these names.",
        show_default="a Ray of its own on this machine",
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Print a line of JSON a shard on standard error, as it is finished, fails or is tried again.",
    ),
]


@takes_options(of_plan_only=True)
def plan(
    src: SourceArgument,
    *,
    labels: LabelsOption = None,
    options: Options,
) -> None:
    """Show what a conversion would do: cells, shards, decisions and their evidence, notes, rejects. Writes nothing.

    The exit code is 3 where that of the conversion will be, by what is known before the frames are read.
    """
    require_convert("plan")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.cli.plan_tables import print_plan
    from pipeline.run.driver import plan_conversion
    from pipeline.run.shortfall import shortfalls

    found = plan_conversion(src, labels, options, ConversionDisplay(error_console))
    print_plan(found, console)
    if shortfalls(found.catalog.gaps, found.catalog, options.max_rejects):
        raise typer.Exit(EXIT_SHORT)


@takes_options()
def convert(
    src: SourceArgument,
    out: OutArgument,
    *,
    labels: LabelsOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    options: Options,
    verbose: VerboseOption = False,
) -> None:
    """Convert City1M to shards. Interrupted or killed, the same command continues where it was."""
    require_convert("convert")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.run.convert import convert_dataset

    if verbose:
        from pipeline.cli.log import log_to

        log_to(error_console)
    try:
        with ConversionDisplay(error_console) as display:
            conversion = convert_dataset(src, labels, out, options, display, workers=workers, address=address)
    except KeyboardInterrupt:
        error_console.print("interrupted; what is finished is kept: the same command continues")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    from pipeline.cli.plan_tables import print_failures, print_gaps, print_work
    from pipeline.cli.set_tables import print_totals
    from pipeline.run.shortfall import shortfalls

    print_work(conversion.records, console)
    print_gaps(conversion.gaps, error_console)
    if conversion.manifest is None:
        print_failures(conversion.failures, error_console)
        raise typer.Exit(EXIT_FAILED)
    print_totals(conversion.manifest, out, console)
    reasons = shortfalls(conversion.gaps, conversion.manifest.totals, options.max_rejects)
    if reasons:
        error_console.print(
            f"[bold red]exit code 3:[/] {shown('; '.join(reasons))}. The set holds all else; its rejects.jsonl names "
            "what was rejected. A mended source goes to another OUT"
        )
        raise typer.Exit(EXIT_SHORT)
