"""The events that a run reports to its caller. The run itself prints nothing: the caller decides what to show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.cluster.scheduler import Event

if TYPE_CHECKING:
    # This module is imported before Ray starts, and what a plan needs is imported while Ray starts.
    from pipeline.plan import Plan


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence that the user should see."""

    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan has been made, and nothing has been written yet."""

    plan: "Plan"


@dataclass(frozen=True, slots=True)
class ShardsBegun:
    """The first shard is about to be made."""

    units: int
    """Number of units in the whole plan."""
    units_done: int
    """Number of units in shards that an earlier run has finished."""
    unit: str
    """What the variant calls a unit, in the singular."""


RunEvent = Message | Planned | ShardsBegun | Event
"""An event of a run. Once shards are being made, this includes what becomes of each of them, and ``None`` if nothing
has happened for a while."""

Tell = Callable[[RunEvent], None]
"""A function that receives each event of a run as it happens, in the thread that runs the conversion."""
