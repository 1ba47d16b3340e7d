"""Shows a conversion as it goes on: messages, what was planned, and how far the shards are."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console

from pipeline.cli.answers import progress
from pipeline.cli.events import print_event
from pipeline.cli.progress import ProgressLine
from pipeline.cli.shown import shown
from pipeline.cluster.scheduler import Event, Failure
from pipeline.run.events import Message, Planned, RunEvent, ShardsBegun
from pipeline.shards.record import ShardRecord
from shards_spec.text import spell_bytes


class ConversionDisplay:
    """Takes the events of a run and shows them.

    Args:
        console: The console for warnings and failures.
        as_json: Whether to print each event as a line of JSON on standard output, too.
        quiet: Whether to show nothing but warnings and failures.
    """

    def __init__(self, console: Console, *, as_json: bool = False, quiet: bool = False) -> None:
        self._console = console
        self._progress_console = progress(quiet=True) if quiet else console
        self._as_json = as_json
        self._progress: ProgressLine | None = None
        self._samples = self._rejected = self._bytes_read = self._units = 0
        self._started = time.monotonic()
        self._said: set[tuple[type, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)

    @property
    def seconds(self) -> float:
        """Seconds since the display was made."""
        return time.monotonic() - self._started

    @property
    def units(self) -> int:
        """Number of units that this run has read."""
        return self._units

    def __call__(self, event: RunEvent) -> None:
        """Show an event."""
        if self._as_json:
            print_event(event)
        if isinstance(event, Message):
            self._progress_console.print(shown(event.text))
        elif isinstance(event, Planned):
            from pipeline.cli.plan_tables import print_findings, print_outlook

            print_findings(event.plan, self._progress_console)
            print_outlook(event.plan, self._console)
        elif isinstance(event, ShardsBegun):
            self._progress = ProgressLine(
                self._progress_console, "convert", event.units, f"{event.unit}s", event.units_done
            )
            self._progress.__enter__()
        elif self._progress is not None:
            self._show_shard(event, self._progress)

    def _show_shard(self, event: Event, progress: ProgressLine) -> None:
        if isinstance(event, ShardRecord):
            self._samples += event.samples
            self._rejected += event.rejected_samples
            self._bytes_read += event.bytes_read
            self._units += event.units + event.rejected_units
            speed = spell_bytes(self._bytes_read / max(progress.seconds, 1e-9))
            progress.update(
                event.units + event.rejected_units,
                f"{speed}/s read, {self._samples:,} samples, {self._rejected:,} rejected",
            )
            return
        progress.update()
        if event is None:
            return
        if isinstance(event, Failure):
            what = "failed for good"
        else:
            what = f"attempt {event.attempt} failed, again in {event.delay:g} s"
        if (type(event), event.error) not in self._said:  # when many shards fail the same way, one of them is shown
            self._said.add((type(event), event.error))
            progress.message(f"shard {event.name}: {what}: {event.error}", self._console)
