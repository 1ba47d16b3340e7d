"""The Typer application of ``reid-shards``: its commands in the order of its help."""

from typing import Annotated

import typer

from pipeline.cli.console import console
from pipeline.cli.convert import convert, plan
from pipeline.cli.demo import demo
from pipeline.cli.doctor import doctor
from pipeline.cli.report import report
from pipeline.cli.sets import dali, status, stream, verify, wids
from shards_spec.version import SPEC_VERSION, __version__

app = typer.Typer(
    name="reid-shards",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Person re-identification datasets as WebDataset shards.

    **demo** makes a small look-alike to try things with; **plan** shows what a conversion would do; **convert** does
    it, and goes on where it was interrupted; **status** says how far it is; **verify** checks the result to the last
    byte; **report** makes a page that shows what is in it.

    Exit codes: 0 done · 1 failed · 2 the input or the options make no sense · 3 done, but the source is
    incomplete or more was rejected than --max-rejects allows · 130 interrupted: the same command continues.
    """,
)
for command in (demo, plan, convert, status, verify, stream, report):
    app.command()(command)

export = typer.Typer(no_args_is_help=True, help="Write lists of a set's shards in the forms that other readers take.")
export.command()(wids)
export.command()(dali)
app.add_typer(export, name="export")
app.command()(doctor)


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
