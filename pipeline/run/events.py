"""What a run tells its caller as it goes on. The run itself prints nothing: the caller decides what to show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.cluster.scheduler import Event

if TYPE_CHECKING:
    # This module is imported before Ray starts, and what a plan needs is imported while Ray starts.
    from pipeline.plan import Plan


@dataclass(frozen=True, slots=True)
class Message:
    """Something that the user should know, in words."""

    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is there, and nothing has been written yet."""

    plan: "Plan"


@dataclass(frozen=True, slots=True)
class ShardsBegun:
    """Shards are being made from now on."""

    frames: int
    """Frames of the whole plan."""
    frames_done: int
    """Frames of shards that an earlier run has finished."""


RunEvent = Message | Planned | ShardsBegun | Event
"""An event of a run; once shards are made also what becomes of each, and ``None`` when a while has passed."""

Tell = Callable[[RunEvent], None]
"""Takes the events of a run, each as it happens, in the thread that runs the conversion."""
