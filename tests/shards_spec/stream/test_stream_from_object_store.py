"""Streaming from S3 (Ceph's): forked and spawned workers, and a server that fails in every way it can."""

import itertools
import json
import multiprocessing
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.storage import open_store
from shards_spec.stream import Dataset, open_dataset
from tests.support.ceph import Ceph
from tests.support.processes import ROOT, WAIT_SECONDS
from tests.support.proxy import Proxy, at_random
from tests.support.variant_sets import SCANS, scan, write_scans

pytestmark = pytest.mark.slow


@pytest.fixture
def url(stream_folder: Path, bucket: str) -> str:
    """Of the set in a bucket."""
    return upload(stream_folder, f"s3://{bucket}/sets/small")


def upload(folder: Path, address: str) -> str:
    """Put a set into a bucket, in another process: other tests fork this one."""
    process = multiprocessing.get_context("spawn").Process(target=_upload, args=(folder, address))
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


_OWN_VARIANT = """
import sys
sys.modules["torch"] = None  # takes long to import
from shards_spec import open_dataset
from tests.support.variant_sets import SCANS  # which registers it
print(*(sample["__key__"] for sample in open_dataset(sys.argv[1]).stream(shuffle=False)))
"""
_OWN_VARIANT_OF_A_SCRIPT = """
import sys
from dataclasses import replace
from shards_spec import open_dataset
from shards_spec.variants import register
from tests.support.variant_sets import SCANS, Scan
def keys(scan): return (scan.name,)
register(replace(SCANS, name="of-a-script", keys=keys))
open_dataset(sys.argv[1])
"""


def test_a_variant_that_the_program_registers_is_known_where_the_index_is_fetched(bucket: str, tmp_path: Path) -> None:
    write_scans(tmp_path / "set", SCANS, [scan(number) for number in range(3)])
    address = upload(tmp_path / "set", f"s3://{bucket}/scans")

    def run(program: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", program, address]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)

    done = run(_OWN_VARIANT)
    assert done.stdout.split() == ["scan0", "scan1", "scan2"], done.stderr
    write_scans(tmp_path / "other", replace(SCANS, name="of-a-script"), [scan(0)])
    upload(tmp_path / "other", address)
    done = run(_OWN_VARIANT_OF_A_SCRIPT)
    assert "variant 'of-a-script', but this version reads" in done.stderr
    assert "of-a-script: define this variant in a module that can be imported" in done.stderr


_FAULTY = """
import json, sys
sys.modules["torch"] = None  # takes long to import
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


_STALLED = """
import json, sys
from shards_spec import open_dataset
from shards_spec.storage import location
from shards_spec.stream import SampleError
location.STALL_SECONDS = 0.3
for workers in (2, 0):  # in this order: what has read from a store must not fork
    context = {"multiprocessing_context": "fork"} if workers else {}
    for url in sys.argv[2:]:
        loader = open_dataset(url, retry_seconds=float(sys.argv[1])).stream(seed=6).loader(8, workers, **context)
        try:
            print(json.dumps([batch["__key__"] for batch in loader]))
        except SampleError as error:
            print(json.dumps(str(error)))
"""


def stalled(retry_seconds: float, *urls: str) -> list[Any]:
    """What two workers and then the process itself read of each set, or the error that they end with."""
    done = subprocess.run(
        [sys.executable, "-c", _STALLED, str(retry_seconds), *urls],
        capture_output=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_server_that_stalls_for_a_while_loses_nothing(url: str, dataset: Dataset, ceph: Ceph) -> None:
    expected = [[batch["__key__"] for batch in dataset.stream(seed=6).loader(8, workers)] for workers in (2, 0)]
    stall = at_random(2, 0.2, ("stall", "stall answer"))
    with Proxy(ceph.endpoint, lambda request: stall(request) if ".tar" in request.path else None) as proxy:
        assert stalled(60.0, f"{url}?endpoint={proxy.url}") == expected
        assert {fault for fault, _ in proxy.faults} == {"stall", "stall answer"}


def test_a_server_that_stays_away_is_an_error_that_names_it(url: str, ceph: Ceph) -> None:
    def without_shards(fault: str) -> Proxy:
        return Proxy(ceph.endpoint, lambda request: fault if ".tar" in request.path else None)

    with without_shards("stall") as stalling, without_shards("503") as failing:
        servers = [stalling.url, failing.url]
        errors = stalled(0.5, *(f"{url}?endpoint={server}" for server in servers))
    for error, server in zip(errors, servers * 2, strict=True):
        assert re.search(rf"\.tar: sample \S+: .*'{url}/\S+\.tar at {server}'.*when the store answers again", error)


def test_a_process_forked_too_late_gets_an_error(url: str) -> None:
    """In a process of its own: the rest of the run must go on forking."""

    code = """
import sys
from shards_spec import open_dataset
stream = open_dataset(sys.argv[1]).stream()
next(iter(stream))
list(stream.loader(4, num_workers=1, multiprocessing_context="fork"))
"""
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "forked from one that has used an object store" in done.stderr
    assert ReidShardsError.__name__ in done.stderr


def test_a_process_forked_in_the_midst_of_reading_gets_an_error(url: str) -> None:
    """It has none of the threads that read ahead, and would wait for them for ever."""

    code = """
import os, signal, sys
from shards_spec import open_dataset
from shards_spec.stream import far, order
order.WINDOW_BLOCKS = 1
far.READ_AHEAD_BYTES = far.KNOWN_BYTES = 1
samples = iter(open_dataset(sys.argv[1]).stream())
next(samples)
if os.fork() == 0:
    signal.alarm(60)
    list(samples)
    os._exit(0)
_, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status) != 1 or not list(samples))
"""
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "forked from one that has used an object store" in done.stderr


_TWO_LOADERS = """
import sys
from shards_spec import open_dataset

def key(sample):
    return sample["__key__"]

dataset = open_dataset(sys.argv[1])
train = dataset.stream(seed=6).loader(8, num_workers=2)
check = dataset.stream(seed=6).loader(8)
print(train.multiprocessing_context.get_start_method())
for _ in range(2):
    seen = [sorted(key for batch in loader for key in batch["__key__"]) for loader in (train, check)]
    assert seen[0] == seen[1]
try:
    iter(dataset.stream().map(lambda sample: sample).loader(8, num_workers=1))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_another_loader_in_this_process_may_read_as_well(url: str) -> None:
    """Workers are then not forked from a process that has used an object store."""
    done = subprocess.run(
        [sys.executable, "-c", _TWO_LOADERS, url], capture_output=True, text=True, check=False, timeout=WAIT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    method, refused = done.stdout.splitlines()
    assert method == "forkserver"
    assert refused.startswith("UsageError the stream cannot be sent to workers")


_AWAY = """
import sys
sys.modules["torch"] = None
from shards_spec import open_dataset
from shards_spec.stream import far
far.WARN_SECONDS = 0.3
try:
    list(open_dataset(sys.argv[1], retry_seconds=1.5).stream())
except Exception as error:
    print(type(error).__name__)
"""


def test_a_store_that_is_away_is_warned_of_before_it_is_an_error(url: str, ceph: Ceph) -> None:
    with Proxy(ceph.endpoint, lambda request: "503" if ".tar" in request.path else None) as proxy:
        address = f"{url}?endpoint={proxy.url}"
        done = subprocess.run(
            [sys.executable, "-c", _AWAY, address], capture_output=True, text=True, check=False, timeout=WAIT_SECONDS
        )
    assert done.stdout == "SampleError\n", done.stderr
    warnings = [line for line in done.stderr.splitlines() if "no answer for" in line]
    assert re.search(rf"{re.escape(url)}.*: \S+\.tar is not read yet.* 2 s \(retry_seconds\)", warnings[0])
