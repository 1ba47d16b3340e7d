"""Every number of a report is what DuckDB counts in the indexes, the rejects and the files."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.histogram import BINS, spread
from pipeline.report.page import Report
from tests.support.pages import Number, Page

Expected = float | str
"""A number, or the SQL of it."""

COLUMNS = {
    "height": "select roi_height as x from idx",
    "width": "select roi_width as x from idx",
    "aspect": "select roi_height / roi_width as x from idx",
    "bytes": "select jpg_size as x from idx",
    "depth": "select depth as x from idx",
    "members": "select any_value(members) as x from idx group by frame",
    "crops": "select count(*) as x from idx group by identity",
    "seen": "select count(distinct camera) as x from idx group by identity",
    **{
        f"matching.p{number}.positives": f"""select (select count(*) from idx g where
        list_contains(g.splits_p{number}, 'gallery') and g.identity = q.identity and g.camera <> q.camera) as x
        from idx q where list_contains(q.splits_p{number}, 'query')"""
        for number in (1, 2)
    },
}


def of_column(name: str, number: Number) -> Expected:
    column, _, what = name.rpartition(".")
    if what == "bar":
        high = number.attributes.get("data-high")
        below = f" and x < {high}" if high else ""
        return f"select count(*) from ({COLUMNS[column]}) where x >= {number.attributes['data-low']}{below}"
    functions = {"low": "min(x)", "high": "max(x)", "mean": "avg(x)", "median": "quantile_cont(x, 0.5)"}
    return f"select {functions[what]} from ({COLUMNS[column]})"


def of_split(protocol: str, split: str, what: str) -> str:
    where = f"from idx where list_contains(splits_{protocol}, '{split}')"
    columns = {
        "samples": "count(*)",
        "units": "count(distinct frame)",
        "identities": "count(distinct identity)",
        "cameras": "count(distinct camera)",
        "shards": "count(distinct (cell, shard))",
    }
    if what == "bytes":
        file = "cell || '/' || cell || '-' || lpad(shard::varchar, 6, '0') || '.tar'"
        return f"select sum(bytes) from files where file in (select {file} {where})"
    return f"select {columns[what]} {where}"


def of_overlap(first: str, second: str, what: str) -> str:
    one, two = (
        f"from idx where list_contains(splits_{name.split()[0]}, '{name.split()[1]}')" for name in (first, second)
    )
    column = {"samples": "key", "identities": "identity"}[what]
    return f"select count(*) from (select distinct {column} {one} intersect select distinct {column} {two})"


def of_cell(cell: str, what: str) -> str:
    where = f"from idx where cell = '{cell}'"
    sizes = f"(select bytes as x from files where file like '{cell}/%.tar')"
    shards = f"(select count(*) as x, count(distinct identity) as y {where} group by shard)"
    return {
        "samples": f"select count(*) {where}",
        "units": f"select count(distinct frame) {where}",
        "shards": f"select count(*) from {sizes}",
        "bytes": f"select sum(x) from {sizes}",
        "least": f"select min(x) from {shards}",
        "most": f"select max(x) from {shards}",
        "least_bytes": f"select min(x) from {sizes}",
        "most_bytes": f"select max(x) from {sizes}",
        "mixed": f"select avg(y) from {shards}",
    }[what]


def of_training(protocol: str, what: str, crops: str | None) -> str:
    train = f"(select identity, camera from idx where list_contains(splits_{protocol}, 'train'))"
    tested = f"""(select identity from idx where list_contains(splits_{protocol}, 'query')
        or list_contains(splits_{protocol}, 'gallery'))"""
    small = f"(select count(*) as x from {train} group by identity having count(*) < {crops})"
    return {
        "identities": f"select count(distinct identity) from {train}",
        "shared": f"select count(distinct identity) from {train} where identity in {tested}",
        "shared_samples": f"select count(*) from {train} where identity in {tested}",
        "one_camera": f"""select count(*) from
            (select identity from {train} group by identity having count(distinct camera) = 1)""",
        "below": f"select count(*) from {small}",
        "below_samples": f"select coalesce(sum(x), 0) from {small}",
        "below_share": f"select (select count(*) from {small}) / (select count(distinct identity) from {train})",
    }[what]


def of_matching(protocol: str, what: str) -> str:
    query, gallery = (
        f"(select * from idx where list_contains(splits_{protocol}, '{split}'))" for split in ("query", "gallery")
    )
    positives = COLUMNS[f"matching.{protocol}.positives"]
    return {
        "queries": f"select count(*) from {query}",
        "gallery": f"select count(*) from {gallery}",
        "without": f"select count(*) from ({positives}) where x = 0",
        "same_camera": f"""select count(*) from {query} q, {gallery} g
            where q.identity = g.identity and q.camera = g.camera""",
        "distractors": f"""select count(distinct identity) from {gallery}
            where identity not in (select identity from {query})""",
    }[what]


def of_account(name: str, what: str, source: Path) -> Expected:
    lines = sum(len(file.read_text().splitlines()) for file in source.glob("*.txt"))
    kept = {
        "lines": f"select {lines} - (select count(*) from rejects where reason like 'line_%')",
        "frames": "select count(distinct frame) from idx",
        "members": "select count(*) from idx",
    }[name]
    rejected = {
        "lines": "select count(*) from rejects where reason like 'line_%'",
        "frames": """select count(distinct name) from rejects
            where name is not null and name not in (select frame from idx)""",
        "members": "select sum(samples) from rejects",
    }[name]
    named = f"select ({kept}) + ({rejected})"
    return {"named": named, "kept": kept, "rejected": rejected, "share": f"select ({rejected}) / ({named})"}[what]


TOTALS = {
    "samples": "select count(*) from idx",
    "units": "select count(distinct frame) from idx",
    "shards": "select count(*) from files where file like '%.tar'",
    "bytes": "select sum(bytes) from files where file like '%.tar'",
}


def rules(source: Path) -> dict[str, Callable[[re.Match[str], Number], Expected]]:
    """Pattern of a number's name to what it must be."""
    labels = [line for file in source.glob("*.txt") for line in file.read_text().splitlines()]
    return {
        r"identities": lambda *_: "select count(distinct identity) from idx",
        r"cameras": lambda *_: "select count(distinct camera) from idx",
        r"totals\.(\w+)": lambda m, _: TOTALS[m[1]],
        r"account\.(\w+)\.(\w+)": lambda m, _: of_account(m[1], m[2], source),
        r"split\.(\w+)\.(\w+)\.(\w+)": lambda m, _: of_split(m[1], m[2], m[3]),
        r"overlap\.(.+)\.(.+)\.(\w+)": lambda m, _: of_overlap(m[1], m[2], m[3]),
        r"cell\.(.+)\.(\w+)": lambda m, _: of_cell(m[1], m[2]),
        r"training\.(\w+)\.(\w+)(?:\.(\d+))?": lambda m, _: of_training(m[1], m[2], m[3]),
        r"matching\.(\w+)\.(\w+)": lambda m, _: of_matching(m[1], m[2]),
        r"camera\.(\d+)\.(\w+)": lambda m, _: f"select count(*) from idx where camera = {m[1]} and time = '{m[2]}'",
        r"category\.(\w+)\.(\w+)": lambda m, _: f"select count(*) from idx where {m[1]} = '{m[2]}'",
        r"category_share\.(\w+)\.(\w+)": lambda m, _: f"select avg(({m[1]} = '{m[2]}')::int) from idx",
        r"reject\.(\w+)\.lines": lambda m, _: f"select count(*) from rejects where reason = '{m[1]}'",
        r"reject\.(\w+)\.samples": lambda m, _: f"select sum(samples) from rejects where reason = '{m[1]}'",
        r"note\.box_clamped": lambda *_: (
            """select count(*) from idx where box_x < 0 or box_y < 0
            or box_x + box_w > frame_width or box_y + box_h > frame_height"""
        ),
        r"note\.blank_line": lambda *_: labels.count(""),
        r"source\.(.+)": lambda m, _: (source / m[1]).stat().st_size,
        r"(?:matching\.\w+\.)?\w+\.(?:bar|low|high|mean|median)": lambda m, number: of_column(m[0], number),
    }


def shown_value(text: str) -> float:
    """The number that a text of the page says."""
    units = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    digits, _, unit = text.replace(",", "").partition(" ")
    if digits.endswith("%"):
        return float(digits[:-1]) / 100
    return float(digits) * units.get(unit, 1)


@pytest.fixture(scope="module")
def database(lossy_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    db = duckdb.connect()
    db.execute(f"""create table idx as select *, parse_filename(parse_dirpath(filename)) as cell
        from read_parquet('{lossy_folder}/*/index.parquet', filename = true)""")
    db.execute(
        f"create table rejects as select * from read_json('{lossy_folder}/rejects.jsonl', format = 'newline_delimited')"
    )
    db.execute("create table files (file varchar, bytes bigint)")
    files = [(path.relative_to(lossy_folder).as_posix(), path.stat().st_size) for path in lossy_folder.rglob("*.tar")]
    db.executemany("insert into files values (?, ?)", files)
    yield db
    db.close()


def test_every_number_is_duckdbs(page: Page, database: duckdb.DuckDBPyConnection, lossy_source_folder: Path) -> None:
    assert page.bare == []
    used = set()
    for number in page.numbers:
        matching = [
            (pattern, expect, match)
            for pattern, expect in rules(lossy_source_folder).items()
            if (match := re.fullmatch(pattern, number.name))
        ]
        assert len(matching) == 1, number.name
        ((pattern, expect, match),) = matching
        used.add(pattern)
        expected = expect(match, number)
        if isinstance(expected, str):
            (found,) = database.execute(expected).fetchall()
            expected = float(found[0])
        assert number.value == pytest.approx(expected, rel=1e-9), number
        if "under" not in number.text and "over" not in number.text:
            digits = 0.05 if number.text.endswith("B") else 0.006  # sizes have one digit behind the point
            assert shown_value(number.text) == pytest.approx(number.value, rel=digits), number
    assert used == set(rules(lossy_source_folder)), "numbers that the fixture does not lead to"
    assert len(page.numbers) > 300


def test_the_fixture_loses_and_clamps(report: Report) -> None:
    assert set(report.manifest.rejects) == {"box_empty", "image_missing", "line_fields"}
    assert report.manifest.notes["box_clamped"].count > 0
    assert report.faults == []


def test_the_same_set_gives_the_same_page(lossy_folder: Path, page: Page) -> None:
    from pipeline.report.page import make_report  # noqa: PLC0415
    from pipeline.report.render import render  # noqa: PLC0415
    from shards_spec.storage import LocalStore  # noqa: PLC0415

    assert render("report", report=make_report(LocalStore(lossy_folder), images=True)) == page.html


numbers = st.one_of(
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=60).map(lambda values: np.array(values, np.int32)),
    st.lists(st.integers(0, 40), max_size=60).map(lambda values: np.array(values, np.int64)),
    st.lists(st.floats(), max_size=60).map(lambda values: np.array(values, np.float64)),
)


@given(numbers)
def test_each_value_is_in_the_one_bar_of_its_range(values: np.ndarray) -> None:
    finite = values[np.abs(values.astype(np.float64)) < 1e15]
    found = spread(values)
    if found is None:
        assert not len(finite)
        return
    assert found.count + found.left_out == len(values)
    assert len(found.bars) <= BINS + 1
    for bar, following in zip(found.bars, found.bars[1:], strict=False):
        assert bar.high == following.low
    for bar in found.bars:
        inside = finite >= bar.low
        if bar.high is not None:
            inside &= finite < bar.high
        assert inside.sum() == bar.count
