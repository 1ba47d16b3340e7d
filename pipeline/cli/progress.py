"""Progress of a long job: a live line on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pipeline.cli.shown import shown

PLAIN_SECONDS = 5.0
"""Seconds between two lines where there is no terminal."""


class ProgressLine:
    """Shows how much of a known total is done, with a rate and the time left.

    Args:
        console: The console to write to.
        title: What is being done, such as "convert".
        total: Number of units in all.
        unit: The name of the units, such as "frames".
        done: Units that an earlier run did already; they do not count in the rate.
    """

    def __init__(self, console: Console, title: str, total: int, unit: str, done: int = 0) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._unit = unit
        self._earlier = done
        self.done = done
        """Units done, with those of earlier runs."""
        self._advances = 0
        self._extra = ""
        self._started = self._printed = time.monotonic()
        self._live: Progress | None = None
        if console.is_terminal and not console.quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self._live = Progress(*columns, console=console, transient=True)
            self._bar = self._live.add_task(title, total=total, completed=done, text="")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, advance: int = 0, extra: str | None = None) -> None:
        """Count ``advance`` more units; ``extra`` is what else there is to say. Call often, also with nothing new."""
        self.done += advance
        self._advances += advance > 0
        if extra is not None:
            self._extra = extra
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._bar, completed=self.done, text=self._text(now))
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            self._console.print(
                f"{self._title}: {self.done:,} of {self._total:,} {self._unit}, {self._text(now)}",
                soft_wrap=True,
                highlight=False,
            )

    def message(self, text: str, console: Console | None = None) -> None:
        """Print a line above the progress, whatever is in it, to the console of the progress or another one."""
        if console is None or self._live is not None:
            console = self._live.console if self._live is not None else self._console
        console.print(shown(text), soft_wrap=True, highlight=False)

    def _text(self, now: float) -> str:
        spent = now - self._started
        rate = (self.done - self._earlier) / max(spent, 1e-9)
        told = [f"{duration(spent)} elapsed"]
        if self._advances > 1:  # a rate that rests on one advance foretells nothing
            told += [f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.1f} {self._unit}/s"]
            told += [f"{duration((self._total - self.done) / rate)} left"]
        return ", ".join(filter(None, [*told, self._extra]))

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started


def duration(seconds: float) -> str:
    """``3725`` as ``1h02m``, ``75`` as ``1m15s``, ``3`` as ``3s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
