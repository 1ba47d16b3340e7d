"""The arguments and options that several commands share, and those that derive from the groups of options."""

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from typing import Annotated, Any, get_args

import typer

from pipeline.cli.console import error_console
from pipeline.options import CommonOptions, CutOptions, DeclaredOption, Option
from pipeline.sources.registry import SOURCES
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


Given = Mapping[str, Any]
"""The values of options that the user gave, by the names of their fields; all others have their defaults."""

SourceKindOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Kind of SRC: " + ", ".join(f"{source.name} ({source.title})" for source in SOURCES.values()) + ".",
        show_default="told by the files in SRC",
    ),
]


def takes_options(is_taken: Callable[[Option], bool]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the command-line options that the groups of options declare.

    The command takes those that the user gave as one keyword argument ``options``, in whose place they stand in its
    help: the common options and those of cutting, then a panel for each kind of source.

    Args:
        is_taken: Says whether the command has an option.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        derived = {option.name: (option, panel) for option, panel in _declared() if is_taken(option.option)}

        @functools.wraps(command)
        def run(context: typer.Context, **given: Any) -> None:
            options = {}
            for name, (option, _) in derived.items():
                value, origin = given.pop(name), context.get_parameter_source(name)
                if origin is not None and origin.name != "DEFAULT":
                    options[name] = value if option.option.parse is None else option.option.parse(value)
            command(**given, options=options)

        parameters = [
            inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        ]
        for parameter in signature.parameters.values():
            own = [_parameter(option, panel) for option, panel in derived.values()]
            parameters += own if parameter.name == "options" else [parameter]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _declared() -> Iterator[tuple[DeclaredOption, str | None]]:
    """Yield all options, each with its help panel. Kinds of source that share an option share its panel."""
    for group in (CommonOptions, CutOptions):
        yield from ((option, None) for option in group.declared())
    owners: dict[str, tuple[DeclaredOption, list[str]]] = {}
    for source in SOURCES.values():
        for option in source.options.declared():
            owners.setdefault(option.name, (option, []))[1].append(source.title)
    yield from ((option, ", ".join(titles)) for option, titles in owners.values())


def _parameter(declared: DeclaredOption, panel: str | None) -> inspect.Parameter:
    """Return a keyword parameter with Typer's annotation for an option."""
    name, hint, option, default = declared
    type_, allowed = get_args(hint)[0], find_range(hint)
    shown_default: bool | str = True if option.shown_default is None else option.shown_default
    if default is MISSING:
        type_, default, shown_default = type_ | None, None, _source_defaults(name)
    elif option.parse is not None:  # Typer hands over the text
        type_, default = (str | None, None) if default is None else (str, str(default))
    shown = typer.Option(
        metavar=option.metavar,
        help=option.help if allowed is None else f"{option.help}{LINE_BREAK}[range: {allowed}]",
        rich_help_panel=panel,
        show_default=shown_default,
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type_, shown])


def _source_defaults(name: str) -> str:
    """Return what help texts say of an option whose default is the source's: "10,000", or a number for each kind."""
    defaults = {source.name: f"{getattr(source, name):,}" for source in SOURCES.values()}
    if len(set(defaults.values())) == 1:
        return next(iter(defaults.values()))
    return ", ".join(f"{source}: {default}" for source, default in defaults.items())
