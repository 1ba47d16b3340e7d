"""The commands that read a source: ``plan`` and ``convert``."""

from typing import Annotated

import typer

from pipeline.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SHORT, console, error_console
from pipeline.cli.parameters import Given, OutArgument, SourceKindOption, WorkersOption, takes_options
from pipeline.cli.shown import shown
from shards_spec.requirements import require_convert

SourceArgument = Annotated[
    str, typer.Argument(metavar="SRC", help="Folder or URL (s3://...) of the dataset's files.", show_default=False)
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


@takes_options(lambda option: option.bears_on_plan)
def plan(
    src: SourceArgument,
    *,
    source: SourceKindOption = None,
    options: Given,
) -> None:
    """Show what a conversion would do: cells, shards, decisions and their evidence, notes, rejects. Writes nothing.

    The exit code is 3 where that of the conversion will be, by what is known before the images are read.
    """
    require_convert("plan")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.cli.plan_tables import print_plan
    from pipeline.cluster.probe import find_source
    from pipeline.run.driver import plan_conversion
    from pipeline.run.shortfall import shortfalls
    from pipeline.sources.registry import make_options

    kind, why = find_source(src, source)
    chosen = make_options(kind, options)
    found = plan_conversion(kind, src, chosen, ConversionDisplay(error_console))
    console.print(f"{shown(src)} is a source of {shown(kind.title)} ({shown(why)})")
    print_plan(found, console)
    catalog = found.catalog
    if shortfalls(catalog.gaps, catalog.variant, catalog.accounts, chosen.common.max_rejects):
        raise typer.Exit(EXIT_SHORT)


@takes_options(lambda _: True)
def convert(
    src: SourceArgument,
    out: OutArgument,
    *,
    source: SourceKindOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    options: Given,
    verbose: VerboseOption = False,
) -> None:
    """Convert a dataset to shards. Interrupted or killed, the same command continues where it was."""
    require_convert("convert")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.cluster.probe import find_source
    from pipeline.run.convert import convert_dataset
    from pipeline.sources.registry import make_options

    if verbose:
        from pipeline.cli.log import log_to

        log_to(error_console)
    kind, _ = find_source(src, source)
    chosen = make_options(kind, options)
    try:
        with ConversionDisplay(error_console) as display:
            conversion = convert_dataset(kind, src, out, chosen, display, workers=workers, address=address)
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
    manifest = conversion.manifest
    reasons = shortfalls(conversion.gaps, manifest.variant, manifest.totals.accounts, chosen.common.max_rejects)
    if reasons:
        error_console.print(
            f"[bold red]exit code 3:[/] {shown('; '.join(reasons))}. The set holds all else; its rejects.jsonl names "
            "what was rejected. A mended source goes to another OUT"
        )
        raise typer.Exit(EXIT_SHORT)
