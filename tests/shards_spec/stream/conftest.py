"""Sets to stream from: many small shards, made once a run; and a cache folder of the tests' own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards_spec.stream import Dataset, open_dataset
from tests.support.sets import make_set
from tests.support.source import mini_source


@pytest.fixture(scope="session", autouse=True)
def _index_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("RANK", raising=False)
        patch.delenv("WORLD_SIZE", raising=False)
        yield


@pytest.fixture(scope="session")
def stream_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    mini_source(groups=24, frames_a_group=6, seed=1).write(folder / "source")
    make_set(folder / "source", folder / "set")
    return folder / "set"


@pytest.fixture(scope="session")
def dataset(stream_folder: Path) -> Dataset:
    return open_dataset(stream_folder)


@pytest.fixture
def copied(stream_folder: Path, tmp_path: Path) -> Path:
    """A copy of the set to damage."""
    return Path(shutil.copytree(stream_folder, tmp_path / "set"))
