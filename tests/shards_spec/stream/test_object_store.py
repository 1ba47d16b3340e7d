"""Streaming from S3 (Ceph's): forked and spawned workers, and a server that fails in every way it can."""

import itertools
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.storage import open_store
from shards_spec.stream import Dataset, open_dataset
from tests.support.ceph import Ceph
from tests.support.processes import WAIT_SECONDS
from tests.support.proxy import Proxy, at_random

pytestmark = pytest.mark.slow


@pytest.fixture
def url(stream_folder: Path, bucket: str) -> str:
    """Of the set in a bucket, put there by another process."""
    address = f"s3://{bucket}/sets/small"
    process = multiprocessing.get_context("spawn").Process(target=_upload, args=(stream_folder, address))
    process.start()
    process.join(WAIT_SECONDS)
    assert process.exitcode == 0
    return address


def _upload(folder: Path, address: str) -> None:
    store = open_store(address)
    for path in folder.rglob("*"):
        if path.is_file() and ".work" not in path.parts:
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())


def _read_by_workers(url: str, context: str, expected: list[list[bytes]]) -> None:
    remote = open_dataset(url).stream(seed=6).loader(8, 2, multiprocessing_context=context, persistent_workers=True)
    head = [batch["jpg"] for batch in itertools.islice(iter(remote), 2)]
    remote.load_state_dict(remote.state_dict())
    assert head + [batch["jpg"] for batch in remote] == expected


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_forked_and_spawned_workers_read_it(url: str, dataset: Dataset, context: str) -> None:
    expected = [batch["jpg"] for batch in dataset.stream(seed=6).loader(8, 2)]
    # In a process of its own: other tests have used object stores in this one, whose children then must not.
    reader = multiprocessing.get_context("spawn").Process(target=_read_by_workers, args=(url, context, expected))
    reader.start()
    reader.join(WAIT_SECONDS)
    assert reader.exitcode == 0


def test_a_set_that_is_not_there(url: str) -> None:
    with pytest.raises(UsageError, match=r"no dataset\.json there"):
        open_dataset(url + "/elsewhere")
    with pytest.raises(UsageError, match="is not taken"):
        open_dataset("ftp://host/set")


_FAULTY = """
import json, sys
from shards_spec import open_dataset
url, cache, limit = sys.argv[1:]
options = {"cache": cache, "cache_limit": int(limit)} if int(limit) else {}
stream = open_dataset(url, **options).stream(seed=6)
print(json.dumps([[sample["__key__"] for sample in stream] for _ in range(2)]))
"""


@pytest.mark.parametrize("limit", [0, 10**9])
def test_a_server_that_fails_loses_nothing(
    url: str, dataset: Dataset, ceph: Ceph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int
) -> None:

    local = dataset.stream(seed=6)
    expected = [[sample["__key__"] for sample in local] for _ in range(2)]
    faults = ("cut", "cut answer", "500", "503", "slow down")
    with Proxy(ceph.endpoint, at_random(1, 0.2, faults)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        done = subprocess.run(
            [sys.executable, "-c", _FAULTY, url, str(tmp_path), str(limit)],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert json.loads(done.stdout) == expected
        assert proxy.faults


def test_a_process_forked_too_late_gets_an_error(url: str) -> None:
    """In a process of its own: the rest of the run must go on forking."""

    code = """
import sys
from shards_spec import open_dataset
stream = open_dataset(sys.argv[1]).stream()
next(iter(stream))
list(stream.loader(4, num_workers=1))
"""
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "forked from one that has used an object store" in done.stderr
    assert ReidShardsError.__name__ in done.stderr
