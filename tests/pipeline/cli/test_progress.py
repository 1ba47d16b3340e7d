"""Progress lines."""

import io

import pytest
from rich.console import Console

from pipeline.cli import progress
from pipeline.cli.progress import ProgressLine


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
