"""Fixtures that many tests share: a small source and the set made of it, made once a run and not to be changed."""

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import azurite
from tests.support.azurite import Azurite
from tests.support.ceph import Ceph, missing_programs, shared_ceph
from tests.support.sets import make_set
from tests.support.source import mini_source

# A slow or busy machine fails no test. The examples are the same in each run, so that a change is judged by what it
# changes; `make soak` looks for new ones.
hypothesis.settings.register_profile("same examples", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("same examples")


def pytest_collection_finish() -> None:
    """Leave what collecting has imported, a gigabyte, out of each collection of garbage, also in forked processes."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let what was left out be collected at the end: libraries look for leaks there."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini_source().write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def set_folder(source_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    make_set(source_folder, out)
    return out


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """An S3 server, one for all processes of the run."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: radosgw ceph-mon ceph-osd)")
    own = tmp_path_factory.getbasetemp()
    with shared_ceph(own.parent if own.name.startswith("popen-") else own) as server:
        yield server


@pytest.fixture
def ceph(ceph_server: Ceph, monkeypatch: pytest.MonkeyPatch) -> Ceph:
    """An S3 server; the environment says where it is and holds the keys."""
    for name, value in ceph_server.environment.items():
        monkeypatch.setenv(name, value)
    return ceph_server


@pytest.fixture
def bucket(ceph: Ceph) -> str:
    """An empty bucket of one's own."""
    return ceph.make_bucket()


@pytest.fixture(scope="session")
def azurite_server() -> Iterator[Azurite]:
    """An Azure blob server."""
    if not azurite.is_installed():
        pytest.skip("not installed: azurite-blob (npm install --global azurite)")
    with azurite.run_azurite() as server:
        yield server


@pytest.fixture
def container(azurite_server: Azurite, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty container of one's own; the environment says where it is and holds the key."""
    for name, value in azurite_server.environment.items():
        monkeypatch.setenv(name, value)
    return azurite_server.make_container()
