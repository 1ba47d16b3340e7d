"""The arguments and options that several commands share, and those that derive from the fields of ``Options``."""

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args

import typer

from pipeline.cli.console import error_console
from pipeline.options import Options, declared_options
from shards_spec.options import find_range

LINE_BREAK = "  \n"
"""A line break in Markdown, as which help texts are shown."""

OutArgument = Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of the set.", show_default=False)]


def limit_workers(workers: int | None) -> int | None:
    """Take no more workers than there are cores, with a word about it."""
    cores = len(os.sched_getaffinity(0))
    if workers is None or workers <= cores:
        return workers
    has = "1 core" if cores == 1 else f"{cores} cores"
    error_console.print(
        f"[yellow]warning:[/] --workers {workers}: this machine has {has}, and more workers than cores would only take "
        f"memory: {cores} will be used"
    )
    return cores


WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        min=1,
        callback=limit_workers,
        help="Cores of this machine to use, at most as many as it has.",
        show_default="all",
    ),
]


def takes_options(*, of_plan_only: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the command-line options that the fields of ``Options`` declare.

    The command takes them as one keyword argument ``options``, in whose place they stand in its help.

    Args:
        of_plan_only: Leave out the options that do not change what ``plan`` shows.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        derived = list(_parameters(of_plan_only=of_plan_only))
        parsers = {name: option.parse for name, _, option in declared_options() if option.parse is not None}

        @functools.wraps(command)
        def run(**given: Any) -> None:
            values = {parameter.name: given.pop(parameter.name) for parameter in derived}
            for name, parse in parsers.items():
                if values.get(name) is not None:
                    values[name] = parse(values[name])
            command(**given, options=Options(**values))

        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            parameters += derived if parameter.name == "options" else [parameter]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameters(*, of_plan_only: bool) -> Iterator[inspect.Parameter]:
    """Yield a keyword parameter with Typer's annotation for each option."""
    defaults = Options()
    for name, hint, option in declared_options():
        if of_plan_only and not option.bears_on_plan:
            continue
        default = getattr(defaults, name)
        type_, allowed = get_args(hint)[0], find_range(hint)
        if option.parse is not None:  # Typer hands over the text
            type_, default = (str | None, None) if default is None else (str, str(default))
        shown = typer.Option(
            metavar=option.metavar,
            help=option.help if allowed is None else f"{option.help}{LINE_BREAK}[range: {allowed}]",
            rich_help_panel=option.panel,
        )
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type_, shown]
        )
