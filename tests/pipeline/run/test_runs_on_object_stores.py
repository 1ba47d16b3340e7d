"""Conversions from and to an object store, through the command line and a real Ray."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo import make_demo
from pipeline.sources.registry import SOURCES, recognise_source
from pipeline.sources.sysu30k import SYSU30K
from shards_spec.storage import ObjectStore, Store, open_store
from tests.support.azurite import Azurite
from tests.support.ceph import Ceph
from tests.support.options import city1m_options
from tests.support.processes import WAIT_SECONDS, descendants, kill, run_command, start_command, wait_until
from tests.support.proxy import Proxy, at_random
from tests.support.sets import convert_source, digests, make_set
from tests.support.source import mini_source
from tests.test_readme import ROOT, commands

pytestmark = pytest.mark.slow

OPTIONS = ("--samples-per-shard", 20, "--workers", 2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini_source(groups=24).write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the set, made from and in folders."""
    out = tmp_path_factory.mktemp("expected")
    make_set(source, out, city1m_options(samples_per_shard=20))
    return digests(out)


@pytest.fixture
def source_url(source: Path, bucket: str) -> str:
    url = f"s3://{bucket}/source"
    store = open_store(url)
    for file in source.iterdir():
        store.put(file.name, file.read_bytes())
    return url


@pytest.fixture
def out_url(bucket: str) -> str:
    return f"s3://{bucket}/sets/a set"


def remote_digests(store: Store) -> dict[str, str]:
    return {
        info.path: hashlib.sha256(store.read_whole(info.path)).hexdigest()
        for info in store.list()
        if not info.path.startswith(".work/")
    }


def finished_shards(store: Store) -> int:
    return len(list(store.list(".work/records")))


def test_from_bucket_to_bucket_the_bytes_are_the_same(source_url: str, out_url: str, expected: dict[str, str]) -> None:
    """The command is that of the page on stores."""
    places = {"s3://datasets/City1M": source_url, "s3://datasets/city1m-shards": out_url}
    ((_, verb, *words),) = commands(ROOT / "shards_spec" / "storage" / "README.md")
    assert set(places) <= set(words)
    result = run_command(verb, *(places.get(word, word) for word in words), *OPTIONS)
    assert result.returncode == 0, result.stderr
    store = open_store(out_url)
    assert remote_digests(store) == expected
    verified = run_command("verify", out_url, "--source", source_url, "--workers", 2)
    assert verified.returncode == 0, verified.stdout
    assert f"every sample is as {source_url} has it" in verified.stdout


def test_tars_from_bucket_to_bucket_give_the_same_bytes(tmp_path: Path, bucket: str) -> None:
    make_demo(tmp_path / "source", source="sysu30k", images=120, workers=1)
    (tmp_path / "out").mkdir()
    convert_source(SYSU30K, tmp_path / "source", tmp_path / "out", SYSU30K.make_options({"samples_per_shard": 20}))
    source_url, out_url = f"s3://{bucket}/source", f"s3://{bucket}/set"
    store = open_store(source_url)
    for file in sorted(path for path in (tmp_path / "source").rglob("*") if path.is_file()):
        store.put(file.relative_to(tmp_path / "source").as_posix(), file.read_bytes())
    result = run_command("convert", source_url, out_url, *OPTIONS)
    assert result.returncode == 0, result.stderr
    assert remote_digests(open_store(out_url)) == digests(tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "images", "options"),
    [
        ("coco", 12, {"queries": "annotations/queries.csv"}),
        ("boxes-table", 12, {}),
        ("crops-folder", 60, {}),
    ],
)
def test_labelled_images_in_a_bucket_give_the_same_bytes(
    tmp_path: Path, bucket: str, kind: str, images: int, options: dict[str, Any]
) -> None:
    """JSON, CSV, JSON Lines, Parquet and names, with images in folders, a zip and a tar."""
    folder, store = tmp_path / "source", open_store(f"s3://{bucket}/source")
    make_demo(folder, source=kind, images=images, workers=1, traps=kind == "crops-folder")
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.put(file.relative_to(folder).as_posix(), file.read_bytes())
    source = SOURCES[kind]
    assert recognise_source(store)[0] is source
    made: list[dict[str, str]] = []
    for place in (folder, store):
        out = tmp_path / f"out{len(made)}"
        out.mkdir()
        convert_source(source, place, out, source.make_options({"samples_per_shard": 20, **options}))
        made.append(digests(out))
    assert made[0] == made[1]


def test_on_azure_through_faults_the_bytes_are_the_same(
    source: Path,
    expected: dict[str, str],
    azurite_server: Azurite,
    container: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store(f"az://{container}/source")
    for file in source.iterdir():
        store.put(file.name, file.read_bytes())
    out_url = f"az://{container}/sets/a set"
    with Proxy(azurite_server.endpoint, at_random(0, 0.1, ("cut", "cut answer", "500", "503"))) as proxy:
        monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", proxy.url)
        result = run_command("convert", store.url, out_url, *OPTIONS)
    assert result.returncode == 0, result.stderr
    assert len(proxy.faults) > 10
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", azurite_server.endpoint)
    assert remote_digests(open_store(out_url)) == expected
    verified = run_command("verify", out_url, "--workers", 2)
    assert verified.returncode == 0, verified.stdout


SHORT_LEASES = "from shards_spec.storage import ObjectStore; ObjectStore.__init__.__kwdefaults__['lease_seconds'] = 4.0"
"""Makes a command wait for seconds, not for a minute, where the holder of an OUT was killed."""


@pytest.fixture
def running(
    source_url: str, out_url: str, ceph: Ceph, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[str]]:
    """A conversion that has begun and has far to go: its store is slow."""
    with Proxy(ceph.endpoint, delay=0.1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        process = start_command("convert", source_url, out_url, *OPTIONS, before=SHORT_LEASES)
        monkeypatch.setenv("AWS_ENDPOINT_URL", ceph.endpoint)
        try:
            yield process
        finally:
            for pid, _ in descendants(process.pid):
                kill(pid)
            process.kill()
            process.communicate()


@pytest.fixture
def refused() -> Callable[..., str]:
    """Runs a command that must end with exit code 2 long before retries would end; returns what it says."""

    def run(*arguments: str) -> str:
        # A process of its own, because a command that is refused while Ray starts ends its process at once.
        result = run_command(*arguments, timeout=60)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr

    return run


def test_killed_and_continued_through_faults_it_makes_the_same_bytes(
    running: subprocess.Popen[str],
    source_url: str,
    out_url: str,
    expected: dict[str, str],
    ceph: Ceph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store(out_url)
    wait_until(lambda: finished_shards(store) >= 2, "two shards")
    for pid in [running.pid, *(pid for pid, _ in descendants(running.pid))]:
        kill(pid)
    running.communicate(timeout=WAIT_SECONDS)
    whole = {name: digest for name, digest in remote_digests(store).items() if name.endswith(".tar")}
    assert whole.items() < expected.items()
    with Proxy(ceph.endpoint, at_random(0, 0.1, ("cut", "cut answer", "500", "503", "slow down"))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        result = run_command("convert", source_url, out_url, *OPTIONS, before=SHORT_LEASES)
    assert result.returncode == 0, result.stderr
    assert "continuing" in result.stderr
    assert len(proxy.faults) > 10
    assert remote_digests(store) == expected
    assert list(store.list(".work/partial")) == []


def test_a_second_driver_is_told_who_holds_the_place(
    source_url: str, out_url: str, refused: Callable[..., str]
) -> None:
    with ObjectStore(out_url, lease_seconds=2).hold("the first one"):
        message = refused("convert", source_url, out_url)
    assert f"{out_url} is being written to by the first one" in message


def test_wrong_credentials_are_told_at_once(
    source_url: str, out_url: str, ceph: Ceph, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a wrong secret")
    for arguments in (("convert", source_url, out_url), ("plan", source_url)):
        message = refused(*arguments)
        assert "403 Forbidden, SignatureDoesNotMatch: check the credentials" in message
        assert "a wrong secret" not in message
        assert ceph.access_key not in message


def test_a_missing_bucket_is_told_at_once(source_url: str, refused: Callable[..., str]) -> None:
    message = refused("convert", source_url, "s3://no-such-bucket/set")
    assert "s3://no-such-bucket/set cannot be written to: the store answers 404 Not Found, NoSuchBucket" in message
    message = refused("plan", "s3://no-such-bucket/source")
    assert "s3://no-such-bucket/source cannot be read: " in message


def test_an_out_that_may_only_be_read_is_told_at_once(
    source_url: str, ceph: Ceph, bucket: str, refused: Callable[..., str]
) -> None:
    assert "cannot be written to: read-only" in refused("convert", source_url, f"{ceph.endpoint}/{bucket}/set")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", '
        f'"Resource": "arn:aws:s3:::{bucket}/locked/*"}}]}}'
    )
    ceph.request("PUT", f"/{bucket}", "policy", policy.encode())
    message = refused("convert", source_url, f"s3://{bucket}/locked/set")
    assert "cannot be written to: the store answers 403 Forbidden, AccessDenied: check the credentials" in message


def test_a_store_that_does_not_answer_is_told_at_once(
    source_url: str, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "Connection refused" in refused("plan", source_url)
