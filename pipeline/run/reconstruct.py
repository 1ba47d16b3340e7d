"""A reconstruction: frames that a source does not hold, put together of what it holds, on Ray."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.cluster.nodes import check_nodes
from pipeline.cluster.probe import probe_out, probe_source, refuse_nested
from pipeline.cluster.session import RaySession
from pipeline.cluster.survey import RayTasks
from pipeline.options import OptionGroup
from pipeline.run.resume import owner
from pipeline.shards.versions import byte_bearing_versions
from pipeline.sources.base import Source
from pipeline.sources.reconstruction import FRAMES, MEMBERS, Reconstruction
from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import decode_json
from shards_spec.layout import WORK_FOLDER
from shards_spec.storage import Store, open_store

IDENTITY_FILE = f"{WORK_FOLDER}/reconstruction.json"
"""What the frames in a folder are made from. It is there from the beginning on."""

PARTS_FOLDER = f"{WORK_FOLDER}/reconstruction"
"""Results of the parts that are finished."""

FEWEST_PARTS = 4
"""Fewest parts for which Ray is started on this machine. A part may have hundreds of frames, and take many seconds."""

_LARGEST_IDENTITY = 16 * 2**20
_identity_decoder = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """How a reconstruction ended."""

    frames: int
    """Number of frames in OUT."""
    members: int
    """Number of members that they show."""
    planned_members: int
    """Number of members in these frames who have a crop."""
    faults: list[str]
    """A sentence for each crop that could not be read, so that its member is not drawn."""
    left_out: list[str]
    """Sentences about labelled frames and members that are not in OUT for other reasons, each with its count."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a reconstruction tells as it goes on."""

    message: Callable[[str], None]
    """Takes a sentence that the user should see."""
    begin: Callable[[int], Callable[[int], None]]
    """Takes the number of all frames once it is known, and returns a function that takes the number of those that are
    done since the last call, or by an earlier run."""


def reconstruct_frames(
    source: Source,
    source_url: str,
    out_url: str,
    options: OptionGroup,
    tell: Telling,
    *,
    workers: int | None = None,
    address: str | None = None,
) -> Reconstructed:
    """Put the frames together that a source names. What an earlier run has finished is not done again.

    Args:
        source: The kind of the source.
        source_url: Folder of the source.
        out_url: Folder of the frames.
        options: The options of a reconstruction.
        tell: Functions that are called as the work goes on.
        workers: Number of cores of this machine to use; None for all.
        address: Address of a Ray cluster to use instead.

    Raises:
        UsageError: Such a source has no frames to put together, a place cannot be read or written, or OUT holds
            something else.
    """
    if source.reconstruction is None:
        raise UsageError(f"{source_url} is a source of {source.title}, of which there are no frames to put together")
    places = [getattr(options, option.name) for option in options.declared() if option.option.is_place]
    for url in (source_url, *(place for place in places if place is not None)):
        probe_source(url)
    refuse_nested(source_url, out_url)
    probe_out(out_url)
    store, out = open_store(source_url), open_store(out_url)
    with RaySession(workers, address) as session, out.hold(owner()):
        if not session.is_local:
            session.wait()
            check_nodes(source_url, out_url)
        plan = source.reconstruction.load()(store, out.url, options, byte_bearing_versions(), tell.message)
        _claim(out, plan)
        for note in plan.notes:
            tell.message(note)
        return _carry_out(plan, RayTasks(session, store, out, PARTS_FOLDER, FEWEST_PARTS), tell.begin(sum(plan.frames)))


def _claim(out: Store, plan: Reconstruction) -> None:
    """Claim OUT for this reconstruction, unless it is already.

    Raises:
        UsageError: OUT holds something else.
    """
    wanted = dict(plan.identity)
    found: dict[str, str] | None = None
    with contextlib.suppress(FileNotFoundError, SpecError):
        found = decode_json(_identity_decoder, out.read_whole(IDENTITY_FILE, _LARGEST_IDENTITY))
    if found is None:
        other = next((file.path for file in out.list() if not file.path.startswith(f"{WORK_FOLDER}/")), None)
        if other is not None:
            raise UsageError(f"{out.url} holds something else, such as {other}: choose an OUT that is new or empty")
        out.put(IDENTITY_FILE, msgspec.json.encode(wanted))
    elif found != wanted:
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise UsageError(
            f"{out.url} holds frames that were put together of something else: {', '.join(names[:5])} differ. Choose "
            "another OUT, or delete that one"
        )


def _carry_out(plan: Reconstruction, tasks: RayTasks, done: Callable[[int], None]) -> Reconstructed:
    counts: dict[str, int] = {FRAMES: 0, MEMBERS: 0}
    faults: set[str] = set()
    for position, table in tasks.run(plan.work, plan.parts):
        for row in table.to_pylist():
            _count(row, counts, faults)
        done(plan.frames[position])
    if counts[FRAMES] != sum(plan.frames):
        raise AssertionError(f"{sum(plan.frames)} frames were planned, but {counts[FRAMES]} were written")
    return Reconstructed(counts[FRAMES], counts[MEMBERS], plan.members, sorted(faults), plan.left_out)


def _count(row: dict[str, Any], counts: dict[str, int], faults: set[str]) -> None:
    if row["what"] in counts:
        counts[row["what"]] += row["count"]
    else:
        faults.add(row["what"])
