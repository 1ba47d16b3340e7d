"""Whether the driver and its workers run the same code and versions, and what to say if they do not."""

import functools
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.shards.versions import byte_bearing_versions
from shards_spec.errors import ReidShardsError

PACKAGE_FOLDER = str(Path(__file__).resolve().parents[1])
"""Folder of the ``pipeline`` package that this process runs."""

SEARCH_SECONDS = 8.0
"""Longest wait, in seconds, for a worker to say what it would import."""


class NodeUnfitError(ReidShardsError):
    """A node would make other bytes than those that were planned."""


class OtherPackageError(ReidShardsError):
    """The workers of this machine run another copy of this package than the driver."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The code and versions with which a process makes shards."""

    versions: Mapping[str, str]
    """Versions of everything that affects the bytes, by name."""
    folder: str | None = PACKAGE_FOLDER
    """Folder of the ``pipeline`` package. None if any folder will do, because other machines may keep theirs
    elsewhere."""


def check_installation(wanted: Installation) -> None:
    """Return if this worker process runs what the driver runs.

    Raises:
        OtherPackageError: The package was imported from another folder.
        NodeUnfitError: Versions differ, as on a node that joined the cluster later.
    """
    if wanted.folder not in {None, PACKAGE_FOLDER}:
        raise OtherPackageError(
            f"Ray's workers run {PACKAGE_FOLDER}, and this process runs {wanted.folder}: run the reid-shards of that "
            "installation, or install this one in its place"
        )
    differences = differing_versions(byte_bearing_versions(), wanted.versions)
    if differences:
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        raise NodeUnfitError(f"node {address} has {differences}, in {PACKAGE_FOLDER}")


def differing_versions(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return a text such as ``"pyarrow 21.0.0 instead of 22.0.0"``, which is empty if nothing differs."""
    names: Iterable[str] = sorted({*found, *wanted})
    return ", ".join(
        f"{name} {found.get(name, 'missing')} instead of {wanted.get(name, 'none')}"
        for name in names
        if found.get(name) != wanted.get(name)
    )


def is_import_fault(error: BaseException) -> bool:
    """Return whether a task failed because its worker cannot import what it needs, so that all tasks would fail."""
    if not isinstance(error, ray.exceptions.RayTaskError):
        return False
    cause = error.cause
    if isinstance(cause, ray.exceptions.RaySystemError):  # the arguments could not be unpickled
        return not _reason(error).startswith(("MemoryError", "OSError"))
    # Ray wraps an error that occurs while it imports the task's function.
    return isinstance(cause, ImportError) or (isinstance(cause, RuntimeError) and "failed to import" in str(cause))


def explain_import(error: BaseException, node_id: str | None = None) -> str:
    """Return in one line why a worker cannot import this package, with both folders where they differ.

    Args:
        error: An import fault.
        node_id: Ray's id of the node; None for a Ray of this machine.
    """
    there = _package_there(node_id)
    reason = f"cannot import reid-shards: {_reason(error)}"
    if there in {None, PACKAGE_FOLDER}:
        return reason
    return f"{reason}. It finds pipeline in {there}, and this process runs {PACKAGE_FOLDER}"


def _reason(error: BaseException) -> str:
    """Return the last line of a traceback, which names the error."""
    cause = getattr(error, "cause", None) or error
    return next(reversed(str(cause).strip().splitlines()), type(cause).__name__).strip()


@functools.cache  # thousands of shards may fail for one reason
def _package_there(node_id: str | None) -> str | None:
    """Return the folder in which a worker finds a ``pipeline`` package; None if there is none, or no answer."""
    find = ray.remote(num_cpus=0)(_make_finder())
    if node_id is not None:
        find = find.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False))
    try:
        folder: str | None = ray.get(find.remote(), timeout=SEARCH_SECONDS)
    except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        return None
    return folder


def _make_finder() -> Callable[[], str | None]:
    """Return a function that is sent as code, because it is nested; a worker would have to import any other."""

    def find() -> str | None:
        spec = importlib.util.find_spec("pipeline")
        if spec is None:
            return None
        places = [*(spec.submodule_search_locations or [])] or [spec.origin or "?"]
        return str(places[0])

    return find
