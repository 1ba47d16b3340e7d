"""Fixtures that many tests share: a small source and the set made of it, made once a run and not to be changed."""

from pathlib import Path

import pytest

from tests.support.sets import make_set
from tests.support.source import mini_source


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini_source().write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def set_folder(source_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    make_set(source_folder, out)
    return out
