"""The bytes that ``plan`` announces are about those that the conversion writes."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.demo import make_demo
from tests.support.options import city1m_options
from tests.support.sets import make_set, plan_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_demo(folder, images=20, workers=1)
    return folder


@pytest.mark.parametrize(
    "given", [{}, {"margin": 30}, {"crop": "reencode", "quality": 85}, {"size": (256, 128)}], ids=str
)
def test_what_plan_announces_is_about_what_is_written(source: Path, tmp_path: Path, given: dict[str, Any]) -> None:
    options = city1m_options(**given)
    plan = plan_source(source, options)
    read, written = plan.catalog.source.load().sizes(plan.catalog, options)
    assert read == sum(plan.catalog.rows["compressed_size"].to_pylist())
    assert len(written) == plan.catalog.rows.num_rows
    made = make_set(source, tmp_path / "set", options).totals.bytes
    assert 0.6 < written.sum() / made < 1.6
