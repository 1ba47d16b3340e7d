"""The command that examines an installation: ``doctor``."""

from dataclasses import asdict
from typing import Annotated

import typer

from pipeline.cli.answers import JsonOption, print_json
from pipeline.cli.console import EXIT_FAILED, console
from pipeline.cli.shown import shown


def doctor(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PLACE]...", help="Folders and URLs that should be within reach.", show_default=False),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Examine this machine and installation: text to paste into an issue. Changes nothing.

    It lists versions, the Pillow that runs, the crop core, Ray, free space, limits, packages that hide this one, and
    the names of environment variables, but none of their values. Exits with 1 if something is wrong.
    """
    from pipeline.doctor import examine

    findings = list(examine(places or []))
    if as_json:
        print_json(command="doctor", findings=[asdict(finding) for finding in findings])
    else:
        for finding in findings:
            console.print(f"{shown(finding.topic)}: {shown(finding.fact)}")
            if finding.problem:
                console.print(f"  [bold red]problem:[/] {shown(finding.problem)}")
    if any(finding.problem for finding in findings):
        raise typer.Exit(EXIT_FAILED)
