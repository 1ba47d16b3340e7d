"""Ray clusters of several nodes on this machine, each node with processes of its own, to be lost one by one."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import ROOT, descendants, environment, kill, wait_until

START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
QUICK = {
    # A node that was killed is noticed within a second or two, not within half a minute.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


class RayCluster:
    """A head node and those that join it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        self._variables = variables
        self.nodes: list[subprocess.Popen[bytes]] = []
        """Those that run; the first is the head."""

    def start(
        self, cpus: int, *, wrapper: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a node, the first time the head; returns when it is there.

        Args:
            cpus: that it offers.
            wrapper: command line in front of its own.
            variables: of its environment.
        """
        port = self.address.rpartition(":")[2]
        head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._folder}"]
        own = [f"--address={self.address}"] if self.nodes else head
        registered = self._registered()
        process = subprocess.Popen(
            [*wrapper, *START, *own, f"--num-cpus={cpus}", "--object-store-memory=100000000"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment(), **self._variables, **(variables or {})},
            start_new_session=True,
        )
        self.nodes.append(process)
        wait_until(lambda: self._registered() > registered or process.poll() is not None, "a node of Ray")
        assert process.poll() is None
        return process

    def _registered(self) -> int:
        """How many nodes the head has ever taken in."""
        log = self._folder / "session_latest" / "logs" / "gcs_server.out"
        try:
            return log.read_text().count("Registering new node")
        except FileNotFoundError:  # not yet, or the link to it is just being made anew, as each node does
            return 0

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """Lose a node: all its processes at once. Not `ray stop`, which stops every Ray of the machine."""
        family = [pid for pid, _ in descendants(node.pid)]
        for pid in [node.pid, *family]:
            kill(pid)
        node.wait()
        self.nodes.remove(node)

    def kill_all(self) -> None:
        """End the cluster."""
        for node in reversed(list(self.nodes)):
            self.kill(node)


@contextlib.contextmanager
def ray_cluster(variables: Mapping[str, str] = QUICK) -> Iterator[RayCluster]:
    """A cluster without nodes yet, with a token of its own, as its users would set it in the environment.

    Args:
        variables: of the environment of all nodes.
    """
    # Short: Ray puts sockets there, and a socket's path has at most 107 bytes.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        cluster = RayCluster(Path(folder), variables)
        try:
            yield cluster
        finally:
            cluster.kill_all()


SHARED_CPUS = 2


class SharedRay(NamedTuple):
    """A cluster of one node that the processes of a test run share, because starting Ray takes seconds."""

    address: str
    variables: Mapping[str, str]
    """What a driver needs in its environment."""


@contextlib.contextmanager
def serve() -> Iterator[tuple[str, dict[str, str]]]:
    """Run a cluster for ``tests.support.sharing``; yields the fields of ``SharedRay``."""
    with ray_cluster({"PYTHONPATH": str(ROOT)}) as cluster:  # workers find the kinds of sources of the tests
        cluster.start(SHARED_CPUS, wrapper=("setpriv", "--pdeathsig", "KILL"))
        yield cluster.address, {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}


def ray_workers(node: subprocess.Popen[bytes]) -> list[int]:
    """The processes of a node that make shards just now."""
    return [pid for pid, command in descendants(node.pid) if command.startswith("ray::_convert_shard")]


def may_mount() -> bool:
    """Whether this process may give others a view of the file system of their own."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0
