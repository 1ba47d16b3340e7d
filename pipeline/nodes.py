"""What each node of a cluster must have and see: asked of all of them before any work, in one go."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.probe import probe_out
from pipeline.versions import byte_bearing_versions
from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.storage import FIRST_LOOK_SECONDS, FileInfo, open_store

ANSWER_SECONDS = 8.0
"""For all nodes to answer. Where one has told of a fault by then, the others are not waited for."""

SILENT_SECONDS = 40.0
"""After which a node that has not answered is given up: one that is busy starts Python many times faster, one whose
network file system hangs would never answer."""


class NodeUnfitError(ReidShardsError):
    """A node would not make the bytes that were planned."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a node says of itself."""

    versions: dict[str, str]
    faults: list[str]
    """What it does not see, in sentences."""


@dataclass(slots=True)
class _Question:
    """What nodes are asked, and what came back."""

    pending: dict[Any, str]
    """Ray's reference of a task to the node's address."""
    faults: list[str] = field(default_factory=list)

    def collect(self, versions: Mapping[str, str], seconds: float) -> None:
        """Wait for answers until all are there or ``seconds`` have passed."""
        done, _ = ray.wait(list(self.pending), num_returns=len(self.pending), timeout=seconds)
        for reference in done:
            node = self.pending.pop(reference)
            try:
                answer: _Answer = ray.get(reference)
            except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
                continue  # it went meanwhile, as nodes do: no reason not to begin
            except ray.exceptions.RayError as error:
                lines = str(getattr(error, "cause", None) or error).strip().splitlines() or [type(error).__name__]
                self.faults.append(f"node {node} cannot run reid-shards: {lines[-1]}")
                continue
            self.faults += [f"node {node}: {fault}" for fault in answer.faults]
            differences = differing_versions(answer.versions, versions)
            if differences:
                self.faults.append(f"node {node} has {differences}")


def check_nodes(source_url: str, out_url: str) -> None:
    """Return if every node that runs tasks has this process's versions, reads the source and writes to ``out_url``.

    Needs a connection to the cluster. The source's first archive stands for all of it.

    Raises:
        UsageError: one does not; the message names each such node by its address and says what is wrong there.
    """
    source, out = open_store(source_url), open_store(out_url)
    archive = next((file for file in source.list_top() if file.path.lower().endswith(".zip")), None)
    remote = ray.remote(num_cpus=0, max_retries=1)(_look)  # again where its worker is lost, not the node
    alive: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    question = _Question(
        {
            remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                source.url, archive, out.url
            ): str(node["NodeManagerAddress"])
            for node in alive
            if node["Alive"] and node["Resources"].get("CPU")
        }
    )
    versions = byte_bearing_versions()
    end = time.monotonic() + SILENT_SECONDS
    question.collect(versions, ANSWER_SECONDS)
    while question.pending and not question.faults and time.monotonic() < end:
        question.collect(versions, 1.0)
    silent = [f"node {node} does not answer" for node in question.pending.values()]
    for reference in question.pending:
        ray.cancel(reference, force=True)
    if question.faults or silent:
        raise UsageError(
            f"the cluster is not ready: {'; '.join(sorted([*question.faults, *silent]))}. Every node must see SRC and "
            "OUT under these names and have the same versions installed"
        )


def check_versions(planned: Mapping[str, str]) -> None:
    """Raise ``NodeUnfitError`` where this process runs on a node that joined later, with other versions."""
    differences = differing_versions(byte_bearing_versions(), planned)
    if differences:
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        raise NodeUnfitError(f"node {address} has {differences}")


def differing_versions(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """``"pyarrow 21.0.0 instead of 22.0.0"``; empty where nothing differs."""
    names: Iterable[str] = sorted({*found, *wanted})
    return ", ".join(
        f"{name} {found.get(name, 'missing')} instead of {wanted.get(name, 'none')}"
        for name in names
        if found.get(name) != wanted.get(name)
    )


def _look(source_url: str, archive: FileInfo | None, out_url: str) -> _Answer:
    """Run on a node."""
    faults = []
    if archive is not None:
        try:
            size = open_store(source_url, retry_seconds=FIRST_LOOK_SECONDS).size(archive.path)
            if size != archive.size:
                faults.append(f"{source_url}/{archive.path} has {size} bytes there, not {archive.size}")
        except OSError as error:
            faults.append(f"{source_url}/{archive.path} cannot be read: {error.strerror or error}")
    try:
        probe_out(out_url)
    except UsageError as error:
        faults.append(str(error))
    return _Answer(byte_bearing_versions(), faults)
