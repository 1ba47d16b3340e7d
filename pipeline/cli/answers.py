"""What commands print for programs to read, and how little they print for people who want silence."""

import json
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from pipeline.cli.console import console, error_console

SCHEMA_VERSION = 1
"""Of what ``--json`` prints. It grows by one when a field is renamed, removed or means something else."""

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and no text for people.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print neither progress nor results: only warnings, faults and errors.")
]


def print_json(**facts: Any) -> None:
    """Print one JSON object on a line of its own. It is pure ASCII, so that no name in it bears on a terminal."""
    typer.echo(json.dumps(msgspec.to_builtins({"schema_version": SCHEMA_VERSION, **facts}, enc_hook=str)))


def results(*, as_json: bool, quiet: bool) -> Console:
    """Return the console for results, which is silent if they are not wanted as text."""
    return Console(quiet=True) if as_json or quiet else console


def progress(*, quiet: bool) -> Console:
    """Return the console for progress, which is silent if it is not wanted."""
    return Console(quiet=True, stderr=True) if quiet else error_console
