"""A small SYSU-30k without traps, and the set that is made of it."""

from pathlib import Path

import pytest

from pipeline.demo import make_demo
from pipeline.sources.sysu30k import SYSU30K
from tests.support.sets import convert_source


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    make_demo(folder, source="sysu30k", images=150, workers=1)
    return folder


@pytest.fixture(scope="module")
def plain_set(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    convert_source(SYSU30K, plain, out, SYSU30K.make_options({"samples_per_shard": 30}))
    return out
