"""Two sets compared: the counts are DuckDB's, and what changed is said."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.report.difference import Difference, compare_reports
from pipeline.report.page import make_report
from pipeline.report.render import render
from shards_spec.storage import LocalStore
from tests.support.options import city1m_options
from tests.support.pages import Page
from tests.support.processes import run_command
from tests.support.sets import make_set


def compare(first: Path, second: Path) -> Difference:
    stores = LocalStore(first), LocalStore(second)
    return compare_reports(stores, (make_report(stores[0], images=False), make_report(stores[1], images=False)))


@pytest.fixture(scope="module")
def database(lossy_folder: Path, set_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        for name, folder in (("a", lossy_folder), ("b", set_folder)):
            db.execute(f"create table {name} as select * from read_parquet('{folder}/*/index.parquet')")
        yield db


def test_samples_are_matched_as_duckdb_matches_them(
    lossy_folder: Path, set_folder: Path, database: duckdb.DuckDBPyConnection
) -> None:
    found = {one.name: one.count for one in compare(lossy_folder, set_folder).samples}
    image = "a.jpg_crc32 = b.jpg_crc32 and a.jpg_size = b.jpg_size"
    sidecar = "a.json_crc32 = b.json_crc32 and a.json_size = b.json_size"
    expected = {
        "same": f"from a join b using (key) where {image} and {sidecar}",
        "sidecar": f"from a join b using (key) where {image} and not ({sidecar})",
        "image": f"from a join b using (key) where not ({image})",
        "first": "from a anti join b using (key)",
        "second": "from b anti join a using (key)",
    }
    for name, query in expected.items():
        assert [(found[name],)] == database.execute(f"select count(*) {query}").fetchall(), name
    assert min(found["same"], found["image"], found["second"]) > 0


def test_a_set_and_itself_differ_in_nothing(set_folder: Path) -> None:
    found = compare(set_folder, set_folder)
    assert not [pair for pair in [*found.making, *found.counts] if pair.differs]
    assert [one.name for one in found.samples if one.count] == ["same"]
    page = Page(render("difference", difference=found))
    assert any("With the same options" in text for text in page.texts)


def test_other_options_are_named_with_both_values(source_folder: Path, set_folder: Path, tmp_path: Path) -> None:
    make_set(source_folder, tmp_path / "set", city1m_options(samples_per_shard=20, margin=3, seed=1))
    found = compare(set_folder, tmp_path / "set")
    changed = {pair.name: (pair.first, pair.second) for pair in found.making if pair.differs}
    assert changed.pop("plan digest")
    assert changed == {"option margin": ("0", "3"), "option seed": ("0", "1")}
    counts = {one.name: one.count for one in found.samples}
    assert counts["image"] > 0
    assert counts["first"] == counts["second"] == 0


def test_the_command_compares_and_marks_a_damaged_set(set_folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run_command("report", set_folder, set_folder, "--to", page)
    assert done.returncode == 0, done.stderr
    assert Page(page.read_text()).bare == []
    damaged = shutil.copytree(set_folder, tmp_path / "damaged")
    for index in damaged.glob("*/index.parquet"):
        index.write_bytes(b"")
    done = run_command("report", set_folder, damaged, "--to", page)
    assert done.returncode == 1
    assert "no index of it can be read" in done.stderr
    assert json.loads((damaged / "dataset.json").read_text())["totals"]["samples"] > 0
