"""Progress lines."""

import io

import pytest
from rich.console import Console

from pipeline.cli import progress
from pipeline.cli.conversion import ConversionDisplay
from pipeline.cli.progress import ProgressLine
from pipeline.cluster.scheduler import Retry
from pipeline.run.events import Message, ShardsBegun


class Terminal(io.StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


def test_nothing_is_foretold_from_one_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    output = io.StringIO()
    with ProgressLine(Console(file=output, width=200), "convert", 1000, "frames", done=100) as line:
        line.update()
        line.update(300, "12 rejected")
        line.update(10)
    none, one, two = output.getvalue().splitlines()
    assert none.startswith("convert: 100 of 1,000 frames, ")
    assert none.endswith(" elapsed")
    assert one.endswith(" elapsed, 12 rejected")
    assert "frames/s" in two
    assert " left, 12 rejected" in two


def test_quiet_keeps_failures_on_a_terminal_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with ConversionDisplay(Console(stderr=True, width=200), quiet=True) as display:
        display(Message("nothing of note"))
        display(ShardsBegun(units=3, units_done=0, unit="frame"))
        display(Retry("p1-train-000007", 1, "the disk is full", 1.0))
    assert terminal.getvalue() == "shard p1-train-000007: attempt 1 failed, again in 1 s: the disk is full\n"
