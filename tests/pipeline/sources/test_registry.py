"""Kinds of sources: each is found by its files or its name, and takes its own options alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pytest

from pipeline.cluster.probe import find_source
from pipeline.options import Option, OptionGroup
from pipeline.sources.base import Look, Source
from pipeline.sources.city1m import CITY1M
from pipeline.sources.registry import SOURCES, make_options, recognise_source, source_named
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore, Store
from tests.support.processes import run_command
from tests.support.source import mini_source


@dataclass(frozen=True, slots=True, kw_only=True)
class TarOptions(OptionGroup):
    """An option that City1M does not have."""

    bags: Annotated[str | None, Option(help="File with the bags.")] = None


def look_for_tars(store: Store) -> Look:
    tars = [file.path for file in store.list_top() if file.path.endswith(".tar")]
    return Look(bool(tars), tars[0] if tars else "no tar lies at its top")


TARS = Source(
    name="tars",
    title="Tars",
    variant="city1m",
    options=TarOptions,
    cuts=False,
    samples_per_shard=50_000,
    recognises=look_for_tars,
    converter="",
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, TARS.name, TARS)


def message_of(store: Store) -> str:
    with pytest.raises(UsageError) as caught:
        recognise_source(store)
    return str(caught.value)


def test_a_source_is_recognised_by_its_files(tmp_path: Path) -> None:
    folder = mini_source(2).write(tmp_path / "source")
    assert recognise_source(LocalStore(folder)) == (CITY1M, "Images_2.zip")
    (folder / "Images_2.zip").unlink()
    (folder / "Images_3.zip").unlink()
    assert recognise_source(LocalStore(folder))[0] is CITY1M
    (tmp_path / "one.tar").touch()
    assert recognise_source(LocalStore(tmp_path)) == (TARS, "one.tar")


def test_a_folder_of_no_kind_is_refused_with_what_was_looked_for_and_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    mini_source(2).write(tmp_path / "below")
    message = message_of(LocalStore(tmp_path))
    assert message.startswith(
        f"{tmp_path} is not recognised as a source. City1M-Full (--source city1m): no archive such as "
    )
    assert "below/Images_2.zip is there: name that folder as SRC; City1M-Lite (--source city1m-lite): nei" in message
    assert "; SYSU-30k (--source sysu30k): neither " in message
    assert "; Tars (--source tars): no tar lies at its" in message
    assert message.endswith("Give --source NAME if it is one of these")


def test_a_folder_of_two_kinds_is_refused_with_both(tmp_path: Path) -> None:
    folder = mini_source(2).write(tmp_path / "source")
    (folder / "one.tar").touch()
    assert message_of(LocalStore(folder)) == (
        f"{folder} could be a source of several kinds: City1M-Full because of Images_2.zip (--source city1m); Tars "
        "because of one.tar (--source tars): say which with --source"
    )
    assert find_source(str(folder), "tars") == (TARS, "--source")


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert source_named("tars") is TARS
    with pytest.raises(UsageError, match=r"--source zips: there is no such kind of source; .*city1m.*tars"):
        source_named("zips")


def test_options_of_another_kind_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--box-order is an option of city1m and city1m-lite, but this source is tars"):
        make_options(TARS, {"box_order": "auto"})
    with pytest.raises(UsageError, match="--bags is an option of tars, but this source is city1m"):
        make_options(CITY1M, {"bags": "x"})
    monkeypatch.setitem(SOURCES, "more-tars", replace(TARS, name="more-tars"))
    with pytest.raises(UsageError, match="--bags is an option of tars and more-tars, but this source is city1m"):
        make_options(CITY1M, {"bags": "x"})


@pytest.mark.parametrize("name", ["crop", "margin", "quality", "size"])
def test_options_of_cutting_are_refused_where_nothing_is_cut(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name} is an option of sources whose samples are cut out of frames"):
        make_options(TARS, {name: 1})
    assert make_options(TARS, {}).cut is None


def test_a_source_says_how_many_samples_a_shard_has_by_default() -> None:
    assert [make_options(source, {}).common.samples_per_shard for source in (CITY1M, TARS)] == [10_000, 50_000]
    assert make_options(TARS, {"samples_per_shard": 7}).common.samples_per_shard == 7
    assert list(make_options(TARS, {}).output_bearing()) == ["samples_per_shard", "shuffle", "seed", "bags"]


def test_each_kind_has_a_name_and_a_variant_of_its_own_and_defaults_for_all_of_its_options() -> None:
    sources = list(SOURCES.values())
    assert len({source.name for source in sources}) == len({source.title for source in sources}) == len(sources)
    for source in sources:
        assert source.options() == make_options(source, {}).own


def test_the_command_line_says_which_kind_it_found_and_takes_it_by_name(tmp_path: Path) -> None:
    folder = mini_source(2).write(tmp_path / "source")
    assert f"{folder} is a source of City1M-Full (Images_2.zip)" in run_command("plan", folder).stdout.replace("\n", "")
    for name in ("Images_2.zip", "Images_3.zip"):
        (folder / name).rename(folder / f"{name[-5]}.zip")
    (tmp_path / "labels").mkdir()
    for file in folder.glob("*.txt"):
        file.rename(tmp_path / "labels" / file.name)
    refused = run_command("plan", folder, "--labels", tmp_path / "labels")
    assert refused.returncode == 2
    assert "is not recognised as a source" in refused.stderr
    taken = run_command("plan", folder, "--labels", tmp_path / "labels", "--source", "city1m")
    assert taken.returncode == 0, taken.stderr
    refused = run_command("convert", folder, tmp_path / "out", "--source", "nothing")
    assert refused.returncode == 2
    assert "the kinds are city1m" in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in SOURCES if name != TARS.name])
def test_each_kind_runs_the_suite_that_all_share(name: str) -> None:
    (module,) = Path(__file__).parent.rglob(f"test_{name.replace('-', '_')}_source.py")
    assert "(SourceSuite):" in module.read_text()
