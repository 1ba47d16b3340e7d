"""Shard tasks on a real Ray: on this machine, on a cluster that runs already, with tasks that fail."""

import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import descendants, kill, run_command, wait_until
from tests.support.sets import digests

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Ray cluster that was there before, with a token of its own, as its users would set it; yields its address."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Short: Ray puts sockets there, and a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
        command += ["--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
        command += ["--object-store-memory=100000000", f"--temp-dir={folder}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            address = f"127.0.0.1:{port}"
            wait_until(lambda: bool(list(Path(folder).glob("session_latest/sockets/raylet*"))), "Ray to start")
            yield address
            for pid, _ in descendants(process.pid):  # not `ray stop`, which stops every Ray of the machine
                kill(pid)
            process.kill()


def test_a_running_cluster_makes_the_same_bytes(
    cluster: str, source_folder: Path, set_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run_command("convert", source_folder, out, "--samples-per-shard", 20, "--address", cluster)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digests(out) == digests(set_folder)


def test_no_cluster_at_the_address_is_said(source_folder: Path, tmp_path: Path) -> None:
    result = run_command("convert", source_folder, tmp_path / "out", "--address", "127.0.0.1:1")
    assert result.returncode == 2
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
