"""A line a shard for machines to read: JSON, through Python's ``logging``, under the name ``reid_shards``."""

import dataclasses
import json
import logging
from datetime import UTC, datetime

import msgspec
from rich.console import Console

from pipeline.cluster.scheduler import Event, Failure
from pipeline.shards.record import ShardRecord
from shards_spec.layout import shard_name

LOGGER = logging.getLogger("reid_shards")
LOGGER.addHandler(logging.NullHandler())  # a program that uses this package asks for these lines, or gets none


class _ConsoleHandler(logging.Handler):
    """Prints above a progress line, where there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line as it stands."""
        self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


def log_to(console: Console) -> None:
    """Show the lines on a console."""
    LOGGER.addHandler(_ConsoleHandler(console))
    LOGGER.setLevel(logging.INFO)


def log_event(event: Event) -> None:
    """Log what became of a shard: its record without its rejects, which OUT holds, or why it failed."""
    if event is None or not LOGGER.isEnabledFor(logging.INFO):
        return
    if isinstance(event, ShardRecord):
        fields = {"event": "shard", "name": shard_name(event.cell, event.number), **msgspec.structs.asdict(event)}
        for known in ("plan_digest", "cell", "number", "rejects"):
            del fields[known]
        fields["seconds"] = {stage: round(seconds, 3) for stage, seconds in event.seconds.items()}
    else:
        fields = {"event": "failure" if isinstance(event, Failure) else "retry", **dataclasses.asdict(event)}
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    # Pure ASCII: what an error message holds of a file's name must not reach a terminal as it stands.
    LOGGER.info("%s", json.dumps(msgspec.to_builtins({"time": time, **fields}), separators=(",", ":")))
