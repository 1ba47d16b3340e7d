"""A location that does not answer is given up within seconds, one that fails in passing is not."""

import functools
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shards_spec.errors import UsageError
from shards_spec.manifest import MANIFEST_FILE
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import opening, reach_store
from tests.support.proxy import Proxy


@pytest.fixture
def closed_port() -> int:
    """A port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests print what went wrong themselves."""


@pytest.fixture
def served_set(set_folder: Path) -> Iterator[str]:
    """URL of a server of a set."""
    handler = functools.partial(_Quiet, directory=str(set_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_no_command_waits_long_for_a_place_that_refuses(closed_port: int, tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    url = f"s3://bucket/set?endpoint=http://127.0.0.1:{closed_port}"

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", "from pipeline.cli.main import main; main()", *command, url],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,  # it takes 7 s, and three minutes where it insists
            env={**os.environ, **keys},
        )

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(run, ("status", "verify", "stream", "plan")))
    for done in [*results, run("export", "wids")]:
        assert done.returncode == 2, done
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {url} cannot be read: ")
        assert line.endswith("(Connection refused): check that this place is meant, or try again later")


def test_what_passes_within_the_first_look_is_no_error(served_set: str) -> None:
    with Proxy(served_set, lambda request: "503" if request.number < 3 else None) as proxy:
        assert read_manifest(reach_store(proxy.url, MANIFEST_FILE)).cells
        assert len(proxy.faults) == 3


def test_after_the_first_look_faults_are_retried_patiently(served_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FIRST_LOOK_SECONDS", 0.2)
    ends: list[float] = []

    def fail_for_a_second(_: object) -> str | None:
        return "503" if ends and time.monotonic() < ends[0] else None

    with Proxy(served_set, fail_for_a_second) as proxy:
        store = reach_store(proxy.url, MANIFEST_FILE)
        ends.append(time.monotonic() + 1.0)
        assert read_manifest(store).cells
        assert proxy.faults


def test_a_place_without_a_set_answers(served_set: str) -> None:
    store = reach_store(f"{served_set}/nowhere", MANIFEST_FILE)
    with pytest.raises(UsageError, match=r"no dataset\.json there"):
        read_manifest(store)
