"""The Typer application of ``reid-shards``: its commands in the order of its help, each with examples."""

from typing import Annotated

import typer

from pipeline.cli.console import console
from pipeline.cli.convert import convert, plan
from pipeline.cli.demo import demo
from pipeline.cli.doctor import doctor
from pipeline.cli.help import Command, Group, Program
from pipeline.cli.reconstruct import reconstruct
from pipeline.cli.report import report
from pipeline.cli.sets import dali, status, stream, verify, wids
from shards_spec.version import SPEC_VERSION, __version__

app = typer.Typer(
    name="reid-shards",
    cls=Program,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Person re-identification datasets as WebDataset shards.",
    epilog="""Exit codes: 0 done; 1 failed; 2 the input or the options make no sense; 3 done, but the source is
    incomplete or more was rejected than --max-rejects allows; 130 interrupted: the same command continues.

    reid-shards COMMAND -h explains a command, with examples.""",
)
export = typer.Typer(
    cls=Group, no_args_is_help=True, help="Write lists of a set's shards in the forms that other readers take."
)

_EXAMPLES = {
    demo: ["reid-shards demo data", "reid-shards demo data --images 100 --traps"],
    plan: ["reid-shards plan data", "reid-shards plan data --json", "reid-shards plan s3://bucket/data"],
    convert: [
        "reid-shards convert data shards",
        "reid-shards convert data shards --workers 8 --samples-per-shard 5000",
        "reid-shards convert s3://bucket/data s3://bucket/shards --address auto",
        "reid-shards convert data shards --json > events.jsonl",
    ],
    status: ["reid-shards status shards", "reid-shards status s3://bucket/shards --json"],
    verify: ["reid-shards verify shards", "reid-shards verify shards --source data"],
    stream: ["reid-shards stream shards", "reid-shards stream shards --protocol 1 --split query --size 256x128 -j 2"],
    report: [
        "reid-shards report shards",
        "reid-shards report s3://bucket/shards --no-images --to page.html",
        "reid-shards report shards other --to comparison.html",
    ],
    reconstruct: [
        "reid-shards reconstruct data frames",
        "reid-shards reconstruct data frames --backgrounds 1-day=a.jpg,1-night=b.jpg",
    ],
    wids: ["reid-shards export wids shards --to lists"],
    dali: ["reid-shards export dali shards --to lists"],
    doctor: ["reid-shards doctor", "reid-shards doctor data s3://bucket/shards", "reid-shards doctor --json"],
}
for command in (demo, plan, convert, status, verify, stream, report, reconstruct):
    app.command(cls=Command, epilog="\n".join(_EXAMPLES[command]))(command)
for command in (wids, dali):
    export.command(cls=Command, epilog="\n".join(_EXAMPLES[command]))(command)
app.add_typer(export, name="export")
app.command(cls=Command, epilog="\n".join(_EXAMPLES[doctor]))(doctor)


def _show_version(value: bool) -> None:
    if value:
        console.print(f"reid-shards {__version__}, shard format {SPEC_VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the versions and exit.")
    ] = False,
) -> None:
    """Typer's place for the options of the program itself; its help is the app's."""
