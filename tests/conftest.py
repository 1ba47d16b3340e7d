"""Fixtures that many tests share: a small source and the set made of it, made once a run and not to be changed."""

import gc
from collections.abc import Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from tests.support import azurite
from tests.support.azurite import Azurite
from tests.support.ceph import Ceph, missing_programs
from tests.support.rays import SharedRay
from tests.support.sets import make_set
from tests.support.sharing import shared
from tests.support.source import mini_source

# A slow or busy machine fails no test. The examples are the same in each run, so that a change is judged by what it
# changes; `make soak` looks for new ones.
hypothesis.settings.register_profile("same examples", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("same examples")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules and classes with slow tests first, so that no process is alone with one at the end."""
    slow = {_scope(item) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: _scope(item) not in slow)


def _scope(item: pytest.Item) -> str:
    """Return what is given to a process as a whole: the module or class of a test."""
    return item.nodeid.rpartition("::")[0]


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
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of the run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


@pytest.fixture(scope="session")
def ray_server(common_folder: Path) -> Iterator[SharedRay]:
    with shared("tests.support.rays:serve", common_folder) as fields:
        yield SharedRay(*fields)


@pytest.fixture
def shared_ray(ray_server: SharedRay, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Options that send a command's work to a Ray that runs already, one for all processes of the run."""
    for name, value in ray_server.variables.items():
        monkeypatch.setenv(name, value)
    return "--address", ray_server.address


@pytest.fixture(scope="session")
def on_ray(ray_server: SharedRay) -> Mapping[str, str]:
    """Variables that send the work of commands in processes of their own to a Ray that runs already."""
    return {**ray_server.variables, "RAY_ADDRESS": ray_server.address}


@pytest.fixture(scope="session")
def ceph_server(common_folder: Path) -> Iterator[Ceph]:
    """An S3 server, one for all processes of the run."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: radosgw ceph-mon ceph-osd)")
    with shared("tests.support.ceph:serve", common_folder) as fields:
        yield Ceph(*fields)


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
