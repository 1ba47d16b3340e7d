"""The arguments and options that several commands share, and those that derive from the groups of options."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from pipeline.cli.console import error_console
from pipeline.cli.values import POSITIVE, begins_with, one_of, whole_number
from pipeline.options import (
    CommonOptions,
    CutOptions,
    DeclaredOption,
    Option,
    OptionGroup,
    option_name,
    spell_value,
)
from pipeline.sources.registry import SOURCES
from shards_spec.cores import usable_cores
from shards_spec.options import find_range
from shards_spec.text import spell_count

CUTTING = "Cutting"
"""Help panel of the options that only sources of frames have."""

OutArgument = Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of the set.", show_default=False)]


def limit_workers(workers: int | None) -> int | None:
    """Take no more workers than cores may be used, and warn if more were asked for."""
    cores = usable_cores()
    if workers is None or workers <= cores:
        return workers
    error_console.print(
        f"[yellow]warning:[/] --workers {workers}: {spell_count(cores, 'core')} may be used here, and more workers "
        f"than cores would only take memory: {cores} will be used"
    )
    return cores


WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        metavar="N",
        parser=whole_number("--workers", POSITIVE),
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
        autocompletion=begins_with(SOURCES),
    ),
]


def takes_options(
    is_taken: Callable[[Option], bool],
    declared: Callable[[], Iterator[tuple[DeclaredOption, str | None]]] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the command-line options that the groups of options declare.

    The command takes those that the user gave as one keyword argument ``options``, in whose place they stand in its
    help: the common options and those of cutting, then a panel for each kind of source.

    Args:
        is_taken: Says whether the command has an option.
        declared: Yields the options that are declared, each with its help panel; by default, those of conversions.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        derived = {
            option.name: (option, panel)
            for option, panel in (declared or conversion_options)()
            if is_taken(option.option)
        }

        @functools.wraps(command)
        def run(context: typer.Context, **given: Any) -> None:
            options = {}
            for name, (option, _) in derived.items():
                value, origin = given.pop(name), context.get_parameter_source(name)
                if origin is not None and origin.name != "DEFAULT":
                    options[name] = _read(option, value)
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


def conversion_options() -> Iterator[tuple[DeclaredOption, str | None]]:
    """Yield all options of conversions, each with its help panel."""
    yield from ((option, None) for option in CommonOptions.declared())
    cutting = f"{CUTTING} ({', '.join(source.title for source in SOURCES.values() if source.cuts)})"
    yield from ((option, cutting) for option in CutOptions.declared())
    yield from _own_options((source.title, source.options) for source in SOURCES.values())


def reconstruction_options() -> Iterator[tuple[DeclaredOption, str | None]]:
    """Yield the options of reconstructions, each with its help panel."""
    kinds = ((source.title, source.reconstruction) for source in SOURCES.values())
    yield from _own_options((title, kind.options) for title, kind in kinds if kind is not None)


def _own_options(groups: Iterable[tuple[str, type[OptionGroup]]]) -> Iterator[tuple[DeclaredOption, str | None]]:
    """Yield the own options of kinds of sources. Kinds that share an option share its panel."""
    owners: dict[str, tuple[DeclaredOption, list[str]]] = {}
    for title, group in groups:
        for option in group.declared():
            owners.setdefault(option.name, (option, []))[1].append(title)
    yield from ((option, ", ".join(titles)) for option, titles in owners.values())


def _parameter(declared: DeclaredOption, panel: str | None) -> inspect.Parameter:
    """Return a keyword parameter with Typer's annotation for an option.

    Typer hands over texts, and None for an option that is not given, so that this project's words say what is wrong
    with a value.
    """
    name, hint, option, default = declared
    kind, choices, allowed = get_args(hint)[0], _choices(hint), find_range(hint)
    metavar = option.metavar or ("|".join(choices) if choices else None)
    help_text = option.help if allowed is None else f"{option.help} From {allowed}."
    if kind is bool:
        flag = typer.Option(help=help_text, rich_help_panel=panel, show_default=False)
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[bool, flag]
        )
    shown_default: bool | str = option.shown_default or False
    if default is MISSING:
        shown_default = _source_defaults(name)
    elif option.shown_default is None and default is not None:
        shown_default = spell_value(default)
    shown = typer.Option(
        metavar=metavar,
        help=help_text,
        rich_help_panel=panel,
        show_default=shown_default,
        autocompletion=begins_with(choices) if choices else None,
    )
    type_ = list[str] if _is_repeated(hint) else str
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_ | None, shown]
    )


def _read(declared: DeclaredOption, value: Any) -> Any:
    """Return the value of an option, given its text on the command line."""
    name, hint, option, _ = declared
    if _is_repeated(hint):
        return tuple(value)
    if option.parse is not None:
        return option.parse(value)
    choices, allowed = _choices(hint), find_range(hint)
    if choices:
        return one_of(option_name(name), choices)(value)
    return value if allowed is None else whole_number(option_name(name), allowed)(value)


def _is_repeated(hint: Any) -> bool:
    """Return whether an option may be given several times, as a tuple of any length may."""
    return get_args(get_args(hint)[0])[1:] == (...,)


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the words that a type allows; none if it is no choice of words."""
    kind = get_args(hint)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _source_defaults(name: str) -> str:
    """Return what help texts say of an option whose default is the source's: "10,000; for scans 50"."""
    defaults = {source.name: f"{getattr(source, name):,}" for source in SOURCES.values()}
    usual, _ = Counter(defaults.values()).most_common(1)[0]
    others = [f"for {source} {default}" for source, default in defaults.items() if default != usual]
    return "; ".join([usual, *others])
