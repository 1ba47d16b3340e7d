"""Whatever somebody else's text holds, a terminal shows it and does nothing else."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.cli.progress import ProgressLine
from pipeline.cli.shown import LONGEST, shown

HOSTILE = [
    ("[/x]", "[/x]"),
    ("[bold red]loud[/]", "[bold red]loud[/]"),
    ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
    ("\x9b31m", "\\x9b31m"),
    ("one\r\nerror: two", "one\\r\\nerror: two"),
    ("gnp\u202eexe", "gnp\\u202eexe"),
    ("name\udcff", "name\\udcff"),
    ("Straße 東京 é", "Straße 東京 é"),
]


def printed(text: str, *, terminal: bool = False) -> str:
    output = io.StringIO()
    Console(file=output, highlight=False, soft_wrap=True, force_terminal=terminal, color_system=None).print(shown(text))
    return output.getvalue()


@pytest.mark.parametrize(("text", "expected"), HOSTILE)
def test_what_is_hostile_is_spelled_out(text: str, expected: str) -> None:
    assert printed(text) == printed(text, terminal=True) == f"{expected}\n"


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    line = printed(text)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    line.encode()


def test_a_megabyte_is_not_printed() -> None:
    assert printed("x" * 10**6) == f"{'x' * LONGEST}... (1,000,000 characters)\n"


def test_a_message_above_the_progress_is_no_markup() -> None:
    output = io.StringIO()
    with ProgressLine(Console(file=output), "convert", 1, "frames") as progress:
        progress.message("shard [/x]: \x1b[2J")
    assert output.getvalue() == "shard [/x]: \\x1b[2J\n"


def test_no_module_prints_foreign_text_past_it() -> None:
    """Markup is escaped in one place, so that control characters are not forgotten in another."""
    pipeline = Path(__file__).parents[3] / "pipeline"
    escaping = [path for path in pipeline.rglob("*.py") if re.search(r"rich\.markup", path.read_text())]
    assert escaping == [pipeline / "cli" / "shown.py"]
