"""Help texts and usage errors in this project's own form: an option a line, what it does below it, then examples."""

import difflib
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.cli.console import EXIT_USAGE, error_console
from pipeline.cli.shown import shown

PROGRAM = "reid-shards"
OPTIONS = "Options"
EXAMPLES = "Examples"
_INDENT = 6

# Typer has the exceptions of Click, or its own copies of them, by version.
_ClickError: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Command(TyperCommand):
    """A command whose epilog is its examples, a line each."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line. An error says which command it concerns."""
        try:
            return super().parse_args(ctx, args)
        except _ClickError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text."""
        parameters: list[Any] = list(self.get_params(ctx))
        arguments = [one for one in parameters if one.param_type_name == "argument"]
        options = [one for one in parameters if one.param_type_name == "option" and not one.hidden]
        _write_usage(ctx, formatter, " ".join(["[OPTIONS]", *(_argument(one) for one in arguments)]))
        _write_text(formatter, self.help or "")
        if arguments:
            _write_items(formatter, "Arguments", ((_argument(one), _explained(one, ctx)) for one in arguments))
        panels: dict[str, list[Any]] = {OPTIONS: []}
        for option in options:
            panels.setdefault(option.rich_help_panel or OPTIONS, []).append(option)
        for panel, members in panels.items():
            _write_items(formatter, panel, ((_option(one), _explained(one, ctx)) for one in members))
        if self.epilog:
            formatter.write(f"\n{EXAMPLES}:\n{textwrap.indent(self.epilog, '  ')}\n")


class Group(TyperGroup):
    """Commands. Its epilog is what there is to know beside them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text."""
        _write_usage(ctx, formatter, "[OPTIONS] COMMAND ...")
        _write_text(formatter, self.help or "")
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = max((len(name) for name, _ in commands), default=0) + 4
        formatter.write("\nCommands:\n")
        for name, one in commands:
            first = " ".join((one.help or "").split()).partition(". ")[0].rstrip(".") if one is not None else ""
            formatter.write(_wrapped(first, formatter.width, width).replace(" " * width, f"  {name}".ljust(width), 1))
            formatter.write("\n")
        parameters: list[Any] = list(self.get_params(ctx))
        options = [one for one in parameters if not one.hidden]
        _write_items(formatter, OPTIONS, ((_option(one), _explained(one, ctx)) for one in options))
        if self.epilog:
            formatter.write("\n")
            _write_text(formatter, self.epilog)


class Program(Group):
    """The outermost group, which prints what is wrong with a command line as all other errors are printed."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Parse the program's own options."""
        try:
            return super().make_context(*arguments, **settings)
        except _ClickError as error:
            _end(error)

    def invoke(self, ctx: Any) -> Any:
        """Parse a command's options, and run it."""
        try:
            return super().invoke(ctx)
        except _ClickError as error:
            _end(error)


def _end(error: Any) -> NoReturn:
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
        error_console.print(error.format_message(), markup=False)
    else:
        error_console.print(f"[bold red]error:[/] {shown(_spelled(error))}")
    raise typer.Exit(EXIT_USAGE) from error


def _spelled(error: Any) -> str:
    """Return an error of a command line in words, and where to read on."""
    context = getattr(error, "ctx", None)
    command = PROGRAM if context is None else _command(context)
    parameter = getattr(error, "param", None)
    kind = type(error).__name__
    if kind == "MissingParameter" and parameter is not None:
        what = f"{_name(parameter)} is missing"
    elif kind == "BadOptionUsage":
        takes_none = "does not take a value" in error.format_message()
        what = f"{error.option_name} {'takes no value' if takes_none else 'needs a value'}"
    elif kind == "NoSuchOption":
        known = [] if context is None else [name for one in context.command.get_params(context) for name in one.opts]
        close = difflib.get_close_matches(error.option_name, known, n=1)
        what = f"there is no option {error.option_name}" + (f" (is it {close[0]}?)" if close else "")
    elif context is not None and (extra := error.format_message().partition("extra argument")[2]):
        what = f"{_command(context)} takes no more arguments, but {extra.rpartition('(')[2].rstrip('.)')} is left"
    else:
        text = error.format_message().rstrip(".")
        what = text[:1].lower() + text[1:]
    return f"{what}: {command} -h says what there is"


def _command(ctx: Any) -> str:
    """Return how a command is called, whatever started the program."""
    return PROGRAM if ctx.parent is None else f"{_command(ctx.parent)} {ctx.info_name}"


def _name(parameter: Any) -> str:
    return str(parameter.metavar or parameter.opts[0]).strip("[].")


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name)
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _option(parameter: Any) -> str:
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag or not parameter.metavar else f"{names} {parameter.metavar}"


def _explained(parameter: Any, ctx: Any) -> str:
    """Return what a parameter does, its default, and the variable that it is taken from where it is not given."""
    default = parameter.show_default
    if default is True and not getattr(parameter, "is_flag", False):
        default = parameter.get_default(ctx, call=False)
    is_told = isinstance(default, int | float | str | Path) and not isinstance(default, bool) and default != ""
    facts = [f"default: {default}"] if is_told else []
    facts += [f"or the variable {parameter.envvar}"] if parameter.envvar else []
    return " ".join(filter(None, [parameter.help or "", f"[{'; '.join(facts)}]" if facts else ""]))


def _write_usage(ctx: Any, formatter: Any, rest: str) -> None:
    formatter.write(f"Usage: {_command(ctx)} {rest}\n\n")


def _write_text(formatter: Any, text: str, indent: int = 0) -> None:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    formatter.write("\n\n".join(_wrapped(one, formatter.width, indent) for one in paragraphs if one) + "\n")


def _write_items(formatter: Any, title: str, items: Iterable[tuple[str, str]]) -> None:
    formatter.write(f"\n{title}:\n")
    for name, text in items:
        formatter.write(f"  {name}\n{_wrapped(text, formatter.width, _INDENT)}\n")


def _wrapped(text: str, width: int, indent: int) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
