"""What each node of a cluster must have and see; all nodes are asked at once before any work begins."""

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster.installation import Installation, differing_versions, explain_import, is_import_fault
from pipeline.cluster.probe import probe_out
from pipeline.cluster.session import describe
from pipeline.shards.versions import byte_bearing_versions
from shards_spec.errors import UsageError
from shards_spec.storage import FIRST_LOOK_SECONDS, FileInfo, open_store

ANSWER_SECONDS = 8.0
"""Seconds within which all nodes should answer. If one has reported a fault by then, the others are not waited for."""

SILENT_SECONDS = 40.0
"""Seconds after which a node that has not answered is given up. Even a busy node starts Python many times faster, and
one whose network file system hangs would never answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a node reports about itself."""

    installation: Installation
    faults: list[str]
    """Sentences about what the node lacks or cannot see."""


@dataclass(slots=True)
class _Question:
    """The question to the nodes, and their answers."""

    pending: dict[Any, dict[str, Any]]
    """What Ray knows about the node of each pending task, by the task's reference."""
    faults: list[str] = field(default_factory=list)

    def collect(self, versions: Mapping[str, str], seconds: float) -> None:
        """Wait for answers until all are there or ``seconds`` have passed."""
        done, _ = ray.wait(list(self.pending), num_returns=len(self.pending), timeout=seconds)
        for reference in done:
            node = self.pending.pop(reference)
            name = node["NodeManagerAddress"]
            try:
                answer: _Answer = ray.get(reference)
            except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
                continue  # nodes come and go: one that has gone is no reason not to begin
            except ray.exceptions.RayError as error:
                why = explain_import(error, node["NodeID"]) if is_import_fault(error) else describe(error)
                self.faults.append(f"node {name} cannot run reid-shards: {why}")
                continue
            self.faults += [f"node {name}: {fault}" for fault in answer.faults]
            differences = differing_versions(answer.installation.versions, versions)
            if differences:
                self.faults.append(f"node {name} has {differences}, in {answer.installation.folder}")


def check_nodes(source_url: str, out_url: str) -> None:
    """Check that every node that runs tasks has this process's versions, reads the source and writes to ``out_url``.

    Ray must be connected to the cluster. The source's first archive is checked in place of all of them.

    Raises:
        UsageError: A node fails the check; the message names each such node by its address and says what is wrong
            there.
    """
    source, out = open_store(source_url), open_store(out_url)
    archive = next((file for file in source.list_top() if file.path.lower().endswith(".zip")), None)
    remote = ray.remote(num_cpus=0, max_retries=1)(_look)  # retried if the worker is lost but not the node
    alive: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    question = _Question(
        {
            remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                source.url, archive, out.url
            ): node
            for node in alive
            if node["Alive"] and node["Resources"].get("CPU")
        }
    )
    versions = byte_bearing_versions()
    end = time.monotonic() + SILENT_SECONDS
    question.collect(versions, ANSWER_SECONDS)
    while question.pending and not question.faults and time.monotonic() < end:
        question.collect(versions, 1.0)
    silent = [f"node {node['NodeManagerAddress']} does not answer" for node in question.pending.values()]
    for reference in question.pending:
        ray.cancel(reference, force=True)
    if question.faults or silent:
        raise UsageError(
            f"the cluster is not ready: {'; '.join(sorted([*question.faults, *silent]))}. Every node must see SRC and "
            "OUT under these names and have the same versions installed"
        )


def _look(source_url: str, archive: FileInfo | None, out_url: str) -> _Answer:
    """Check a node. This runs on the node itself."""
    importlib.import_module("pipeline.cluster.engine")  # imports everything that its tasks will need
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
    return _Answer(Installation(byte_bearing_versions()), faults)
