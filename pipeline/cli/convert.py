"""The commands that read a source: ``plan`` and ``convert``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.answers import JsonOption, QuietOption, print_json, results
from pipeline.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SHORT, console, error_console
from pipeline.cli.parameters import Given, OutArgument, SourceKindOption, WorkersOption, takes_options
from pipeline.cli.shown import shown
from shards_spec.requirements import require_convert

if TYPE_CHECKING:
    from shards_spec.manifest import Totals

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
EventsOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print each event as a JSON object on a line of standard output, and no text for people there."
    ),
]


@takes_options(lambda option: option.bears_on_plan)
def plan(
    src: SourceArgument,
    *,
    source: SourceKindOption = None,
    options: Given,
    as_json: JsonOption = False,
) -> None:
    """Show what a conversion would do: cells, shards, decisions and their evidence, notes, rejects. Writes nothing.

    Exits with 3 if the conversion would, as far as that is known before the images are read.
    """
    require_convert("plan")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.cli.plan_facts import plan_facts
    from pipeline.cli.plan_tables import print_plan
    from pipeline.cluster.probe import find_source
    from pipeline.run.driver import plan_conversion
    from pipeline.sources.registry import make_options

    kind, why = find_source(src, source)
    chosen = make_options(kind, options)
    found = plan_conversion(kind, src, chosen, ConversionDisplay(error_console))
    facts = plan_facts(found)
    if as_json:
        print_json(command="plan", source=src, recognised_by=why, **facts)
    else:
        console.print(f"{shown(src)} is a source of {shown(kind.title)} ({shown(why)})")
        print_plan(found, console)
    if facts["reasons"]:
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
    as_json: EventsOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a dataset to shards. Interrupted or killed, the same command continues where it was.

    The event lines of --json are named "message", "plan", "begin", "shard", "retry", "failure" and, last, "end".
    """
    require_convert("convert")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.cluster.probe import find_source
    from pipeline.run.convert import convert_dataset
    from pipeline.sources.registry import make_options

    kind, _ = find_source(src, source)
    chosen = make_options(kind, options)
    try:
        with ConversionDisplay(error_console, as_json=as_json, quiet=quiet) as display:
            conversion = convert_dataset(kind, src, out, chosen, display, workers=workers, address=address)
    except KeyboardInterrupt:
        if as_json:
            _print_end(EXIT_INTERRUPTED, display.seconds)
        error_console.print("interrupted; what is finished is kept: the same command continues")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    from pipeline.cli.plan_tables import print_failures, print_gaps, print_work
    from pipeline.cli.set_tables import print_end, print_totals
    from pipeline.run.shortfall import shortfalls

    told = results(as_json=as_json, quiet=quiet)
    print_work(conversion.records, told)
    print_gaps(conversion.gaps, error_console)
    manifest = conversion.manifest
    if manifest is None:
        if as_json:
            _print_end(EXIT_FAILED, display.seconds)
        print_failures(conversion.failures, error_console)
        raise typer.Exit(EXIT_FAILED)
    print_totals(manifest, out, told)
    reasons = shortfalls(conversion.gaps, manifest.variant, manifest.totals.accounts, chosen.common.max_rejects)
    code = EXIT_SHORT if reasons else 0
    if as_json:
        _print_end(code, display.seconds, manifest.totals, reasons)
    print_end(manifest, out, display.units, display.seconds, told)
    if reasons:
        error_console.print(
            f"[bold red]exit code 3:[/] {shown('; '.join(reasons))}. The set holds all else; its rejects.jsonl names "
            "what was rejected. A mended source goes to another OUT"
        )
        raise typer.Exit(EXIT_SHORT)


def _print_end(code: int, seconds: float, totals: "Totals | None" = None, reasons: Sequence[str] = ()) -> None:
    """Print the last event of a conversion for programs."""
    from pipeline.cli.events import print_timed

    print_timed(event="end", exit_code=code, seconds=round(seconds, 3), totals=totals, reasons=reasons)
