"""What each node of a cluster must have and see: asked of all of them before any work, in one go."""

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
"""For all nodes to answer. Where one has told of a fault by then, the others are not waited for."""

SILENT_SECONDS = 40.0
"""After which a node that has not answered is given up: one that is busy starts Python many times faster, one whose
network file system hangs would never answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a node says of itself."""

    installation: Installation
    faults: list[str]
    """What it does not see, in sentences."""


@dataclass(slots=True)
class _Question:
    """What nodes are asked, and what came back."""

    pending: dict[Any, dict[str, Any]]
    """Ray's reference of a task to what Ray knows of the node."""
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
                continue  # it went meanwhile, as nodes do: no reason not to begin
            except ray.exceptions.RayError as error:
                why = explain_import(error, node["NodeID"]) if is_import_fault(error) else describe(error)
                self.faults.append(f"node {name} cannot run reid-shards: {why}")
                continue
            self.faults += [f"node {name}: {fault}" for fault in answer.faults]
            differences = differing_versions(answer.installation.versions, versions)
            if differences:
                self.faults.append(f"node {name} has {differences}, in {answer.installation.folder}")


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
    """Run on a node."""
    importlib.import_module("pipeline.cluster.engine")  # all that its tasks will need
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
