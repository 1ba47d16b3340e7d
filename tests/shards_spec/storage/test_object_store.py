"""What only object stores do: credentials, faults of the network, leases, forks."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shards_spec.errors import UsageError
from shards_spec.storage import (
    FileInfo,
    ObjectStore,
    Store,
    StoreBusyError,
    StoreLostError,
    lease,
    location,
    open_store,
)
from shards_spec.storage.location import parse_location
from shards_spec.storage.object import PART_BYTES
from tests.support.ceph import Ceph
from tests.support.proxy import FAULTS, Proxy, Request, at_random
from tests.support.stores import write_and_read

SECRET = "c2VjcmV0"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket/set",
        f"s3://{SECRET}@bucket/set",
        f"s3://bucket/set?secret_access_key={SECRET}",
        f"s3://bucket/set?endpoint=https://key:{SECRET}@host",
        f"https://account.blob.core.windows.net/set?sv=2024&sig={SECRET}",
        f"az://container/set?sas_token={SECRET}",
        f"gs://bucket/set#{SECRET}",
    ],
)
def test_urls_that_may_hold_secrets_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert SECRET not in str(caught.value)
    assert "set" in str(caught.value)


def test_urls_say_what_is_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere")
    parsed = parse_location("s3://bucket/a%20b/c/?endpoint=https://host:8080&region=eu-west-1")
    assert (parsed.bucket, parsed.prefix, parsed.base) == ("bucket", "a b/c", "s3://bucket/a b/c")
    assert (parsed.endpoint, parsed.option("region"), parsed.option("profile")) == (
        "https://host:8080",
        "eu-west-1",
        None,
    )
    assert parse_location("s3://bucket").endpoint == "http://elsewhere"
    for url in ("s3://", "gs:///set", "https://"):
        with pytest.raises(UsageError, match="names no"):
            open_store(url)


def test_what_the_environment_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    with pytest.raises(UsageError, match=r"az://container/set: .*Account"):
        open_store("az://container/set").size("a")


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "ftp://host", "http://a host", f"http://key:{SECRET}@host", "http://"]
)
def test_an_endpoint_is_a_url_without_secrets(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UsageError, match="endpoint is no URL") as caught:
        open_store("s3://bucket/set").size("a")
    assert SECRET not in str(caught.value)


def test_stores_of_all_kinds_connect_lazily() -> None:
    for url in ("s3://bucket/set", "gs://bucket", "az://container/set", "https://host/set", "memory://name"):
        assert repr(open_store(url)) == f"ObjectStore('{url}')"


def test_no_secret_is_shown_or_pickled(ceph: Ceph, bucket: str) -> None:
    store = open_store(f"s3://{bucket}/set")
    store.put("a", b"x")
    for text in (repr(store), store.url, repr(pickle.dumps(store)), repr(vars(store))):
        assert ceph.secret_key not in text
        assert ceph.access_key not in text


def test_wrong_credentials_are_no_permission(ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = open_store(f"s3://{bucket}/set")
    for use in (
        lambda: store.size("a"),
        lambda: store.read("a", 0, 1),
        lambda: store.read_whole("a"),
        lambda: list(store.list()),
        lambda: store.put("a", b"x"),
        lambda: store.create("a", b"x"),
        lambda: store.delete("a"),
    ):
        with pytest.raises(PermissionError, match=rf"403 Forbidden.*s3://{bucket}/set") as caught:
            use()
        for secret in (SECRET, ceph.secret_key, ceph.access_key, "Signature="):
            assert secret not in str(caught.value)


@pytest.mark.usefixtures("ceph")
def test_a_missing_bucket_is_named() -> None:
    store = open_store("s3://no-such-bucket/set")
    for use in (lambda: list(store.list()), lambda: store.put("a", b"x"), lambda: store.create("a", b"x")):
        with pytest.raises(FileNotFoundError, match=r"NoSuchBucket.*s3://no-such-bucket/set"):
            use()
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"), store.open_write("a") as file:
        file.write(bytes(3 * PART_BYTES))


def test_over_http_sets_are_read_and_not_written(ceph: Ceph, bucket: str) -> None:
    open_store(f"s3://{bucket}").put("set/a", b"0123456789")
    ceph.request("PUT", f"/{bucket}/set/a", "acl", x_amz_acl="public-read")
    store = open_store(f"{ceph.endpoint}/{bucket}/set")
    assert store.read("a", 2, 5) == b"234"
    assert store.read_whole("a") == b"0123456789"
    assert store.size("a") == 10
    with pytest.raises(EOFError):
        store.read("a", 5, 11)
    with pytest.raises(OSError, match="405"):
        list(store.list())
    for write in (lambda: store.put("b", b"x"), lambda: store.create("b", b"x"), lambda: store.delete("a")):
        with pytest.raises(PermissionError, match="read-only"):
            write()
    with pytest.raises(PermissionError, match="read-only"), store.open_write("b"):
        pass


def test_public_buckets_need_no_credentials(ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(f"s3://{bucket}").put("set/a", b"x")
    ceph.request("PUT", f"/{bucket}/set/a", "acl", x_amz_acl="public-read")
    for name in ceph.environment:
        monkeypatch.delenv(name)
    store = open_store(f"s3://{bucket}/set?endpoint={ceph.endpoint}&anonymous=")
    assert store.read_whole("a") == b"x"
    with pytest.raises(PermissionError):
        store.put("a", b"y")


def test_profiles_need_boto3_and_come_after_keys(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UsageError, match=r"profile work needs boto3: pip install 'reid-shards\[aws-profiles\]'"):
        open_store(f"s3://{bucket}/set?profile=work").put("a", b"x")
    monkeypatch.setenv("AWS_PROFILE", "work")
    open_store(f"s3://{bucket}/set").put("a", b"x")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UsageError, match="boto3"):
        open_store(f"s3://{bucket}/set").put("a", b"x")


def test_a_profile_gives_the_credentials(ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for boto3, whose dependencies the development environment does not hold."""
    profiles = []

    class Session:
        def __init__(self, profile_name: str) -> None:
            if profile_name == "nobody":
                raise RuntimeError("The config profile (nobody) could not be found")
            profiles.append(profile_name)

    class Boto3CredentialProvider:
        def __init__(self, session: Session) -> None:
            self.session = session

        def __call__(self) -> dict[str, object]:
            keys = {"access_key_id": ceph.access_key, "secret_access_key": ceph.secret_key}
            return {**keys, "token": None, "expires_at": None}

    boto3, provider = types.ModuleType("boto3"), types.ModuleType("obstore.auth.boto3")
    monkeypatch.setattr(boto3, "Session", Session, raising=False)
    monkeypatch.setattr(provider, "Boto3CredentialProvider", Boto3CredentialProvider, raising=False)
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", provider)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = open_store(f"s3://{bucket}/set?profile=work")
    store.put("a", b"x")
    assert store.read_whole("a") == b"x"
    assert profiles == ["work"]
    assert ceph.secret_key not in repr(pickle.dumps(store))
    with pytest.raises(UsageError, match=r"profile nobody gives no credentials: .*could not be found"):
        open_store(f"s3://{bucket}/set?profile=nobody").put("a", b"x")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "STALL_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", range(3))
def test_passing_faults_are_not_noticed(ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    with Proxy(ceph.endpoint, at_random(seed, 0.4)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(f"s3://{bucket}/set")
        _, *small = write_and_read(store, seed)
        store.delete("large")
        faults = {fault for fault, _ in proxy.faults}
    assert len(proxy.faults) > 5
    assert len(faults) > 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", ceph.endpoint)
    store = open_store(f"s3://{bucket}/set")
    assert list(store.list()) == small
    store.sweep()
    assert b"<Upload>" not in ceph.request("GET", f"/{bucket}", "uploads")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "use",
    [
        lambda store: list(store.list()) == [FileInfo("a", 10)],
        lambda store: store.delete("a") is None,
        lambda store: store.read_whole("a") == b"0123456789",
        lambda store: store.size("a") == 10,
        lambda store: store.put("b", b"x") is None,
    ],
    ids=["list", "delete", "read", "size", "put"],
)
def test_what_fails_once_is_done_again(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch, fault: str, use: Callable[[Store], bool]
) -> None:
    open_store(f"s3://{bucket}/set").put("a", b"0123456789")
    with Proxy(ceph.endpoint, lambda request: None if request.number else fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        assert use(open_store(f"s3://{bucket}/set"))
        assert len(proxy.faults) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", FAULTS)
def test_lasting_faults_end_in_an_error_in_time(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def choose(request: Request) -> str | None:
        return fault if request.path.endswith("/bad") else None

    with Proxy(ceph.endpoint, choose) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(f"s3://{bucket}/set", retry_seconds=0.5)
        for path in ("good", "bad"):
            open_store(f"s3://{bucket}/set?endpoint={ceph.endpoint}").put(path, b"0123456789")
        began = time.monotonic()
        with pytest.raises((OSError, EOFError), match=f"{bucket}/set/bad"):
            store.read("bad", 0, 10)
        assert time.monotonic() - began < 5
        assert store.read("good", 0, 10) == b"0123456789"
        assert sum(request.path.endswith("/bad") for request in proxy.requests) > 1


def test_a_large_write_whose_parts_fail_leaves_nothing(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(request: Request) -> str | None:
        return "500" if "partNumber=2" in request.path else None

    with Proxy(ceph.endpoint, choose) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(f"s3://{bucket}/set", retry_seconds=2.0)
        with pytest.raises(OSError, match="set/large"), store.open_write("large") as file:
            for _ in range(6):
                file.write(bytes(PART_BYTES))
    monkeypatch.setenv("AWS_ENDPOINT_URL", ceph.endpoint)
    store = open_store(f"s3://{bucket}/set")
    assert list(store.list()) == []
    store.sweep()
    assert b"<Upload>" not in ceph.request("GET", f"/{bucket}", "uploads")


def test_an_upload_whose_last_answer_is_lost_is_found_to_be_whole(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(request: Request) -> str | None:
        is_last = request.method == "POST" and "uploadId" in request.path
        return "cut answer" if is_last and not proxy.faults else None

    with Proxy(ceph.endpoint, choose) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(f"s3://{bucket}/set")
        with store.open_write("large") as file:
            file.write(bytes(2 * PART_BYTES))
        assert len(proxy.faults) == 1
        assert store.size("large") == 2 * PART_BYTES


def test_an_upload_that_was_aborted_by_another_fails(bucket: str) -> None:
    # A part that Ceph takes in while its upload is aborted is answered by 500 for ever: hence not for long.
    store = open_store(f"s3://{bucket}/set", retry_seconds=1.0)
    store.put("large", b"old")
    with pytest.raises(OSError, match="set/large"), store.open_write("large") as file:
        file.write(bytes(2 * PART_BYTES))
        while not store.sweep():
            pass
    assert store.read_whole("large") == b"old"


def test_sweep_leaves_the_uploads_of_others(ceph: Ceph, bucket: str) -> None:
    ceph.request("POST", f"/{bucket}/set2/a", "uploads")
    ceph.request("POST", f"/{bucket}/set/b", "uploads")
    assert open_store(f"s3://{bucket}/set").sweep() == 1
    assert b"<Key>set2/a</Key>" in ceph.request("GET", f"/{bucket}", "uploads")


HOLDER = """
import sys
from shards_spec.storage import ObjectStore, StoreBusyError
url, owner, seconds = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    with ObjectStore(url, lease_seconds=float(seconds)).hold(owner):
        print("held", flush=True)
        sys.stdin.read()
except StoreBusyError as error:
    print(error, flush=True)
"""


@contextlib.contextmanager
def holder(url: str, owner: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A process that tries to hold the store when it is told to, until its input ends."""
    command = [sys.executable, "-c", HOLDER, url, owner, str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert said(process) == "ready"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", range(3))
def test_of_two_that_start_at_once_one_holds(bucket: str, number: int) -> None:
    url = f"s3://{bucket}/{number}"
    with holder(url, "one", 1) as one, holder(url, "two", 1) as two:
        go(one)
        go(two)
        answers = sorted([said(one), said(two)])
    assert answers[0] == "held"
    assert "is being written to by" in answers[1]


def test_a_lease_outlives_a_killed_holder_by_its_time_only(bucket: str) -> None:
    url, seconds = f"s3://{bucket}/set", 1.5
    with holder(url, "killed", seconds) as process:
        go(process)
        assert said(process) == "held"
        process.kill()
        process.wait()
        began = time.monotonic()
        with ObjectStore(url, lease_seconds=seconds).hold("next"):
            waited = time.monotonic() - began
            with pytest.raises(StoreBusyError, match="next"), ObjectStore(url, lease_seconds=seconds).hold("third"):
                pass
    assert 0.5 < waited < 2 * seconds
    with holder(url, "killed", seconds) as process:
        go(process)
        assert said(process) == "held"
        process.kill()
        process.wait()
        time.sleep(seconds)
        began = time.monotonic()
        with ObjectStore(url, lease_seconds=seconds).hold("next"):
            waited = time.monotonic() - began
    assert waited < 0.5, "a lease that ran out long ago is not waited for"


def test_whoever_loses_the_lease_is_stopped(bucket: str) -> None:
    url, seconds = f"s3://{bucket}/set", 1.0
    with holder(url, "frozen", seconds) as process:
        go(process)
        assert said(process) == "held"
        process.send_signal(signal.SIGSTOP)
        with ObjectStore(url, lease_seconds=seconds).hold("next"):
            began = time.monotonic()
            process.send_signal(signal.SIGCONT)
            assert process.wait(10) == 1
            assert time.monotonic() - began < 3
            with pytest.raises(StoreBusyError, match="next"), ObjectStore(url, lease_seconds=seconds).hold("third"):
                pass


def test_a_lease_that_cannot_be_renewed_ends_the_work(ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    down = False
    with Proxy(ceph.endpoint, lambda _: "cut" if down else None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = ObjectStore(f"s3://{bucket}/set", lease_seconds=1.0)
        with pytest.raises(StoreLostError, match=r"could not be kept.*The same command continues"), store.hold("me"):
            down = True
            time.sleep(10)
    monkeypatch.setenv("AWS_ENDPOINT_URL", ceph.endpoint)
    with store.hold("me again"):
        pass


def test_a_short_failure_does_not_cost_the_lease(ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(request: Request) -> str | None:
        return "cut" if 8 < request.number < 12 else None

    with Proxy(ceph.endpoint, choose) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with ObjectStore(f"s3://{bucket}/set", lease_seconds=1.0).hold("me"):
            time.sleep(1.5)
        assert len(proxy.faults) == 3


def test_ctrl_c_stays_ctrl_c(bucket: str) -> None:
    store = ObjectStore(f"s3://{bucket}/set", lease_seconds=1.0)
    with pytest.raises(KeyboardInterrupt), store.hold("me"):
        raise KeyboardInterrupt
    with store.hold("me"):
        assert len(store.entries(lease.LEASE_FOLDER)) == 1


def test_a_forked_process_gets_an_error_instead_of_hanging() -> None:
    program = (
        "import os, sys\nfrom shards_spec.storage import open_store\nfrom shards_spec.errors import ReidShardsError\n"
        "store = open_store('memory://fork'); store.put('a', b'x')\n"
        "if os.fork() == 0:\n"
        "    for kind in (store, open_store('memory://other')):\n"
        "        try: kind.size('a')\n"
        "        except ReidShardsError as error: print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True, cwd=Path.cwd()
    )
    assert result.stdout.count("was forked from one that has used an object store itself") == 2


def test_a_process_forked_before_the_first_use_works(bucket: str) -> None:
    program = (
        "import os, sys\nfrom shards_spec.storage import open_store\nstore = open_store(sys.argv[1])\n"
        "if os.fork() == 0:\n    store.put('a', b'x'); os._exit(0)\n"
        "os.wait(); print(store.size('a'))"
    )
    command = [sys.executable, "-c", program, f"s3://{bucket}/set"]
    assert subprocess.run(command, capture_output=True, timeout=30, check=True).stdout == b"1\n"
