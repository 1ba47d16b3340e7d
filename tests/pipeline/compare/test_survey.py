"""Which kind of source a set is compared with: the one that makes its variant; of several, the files tell."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pipeline.compare import survey_again
from pipeline.sources.base import Look
from pipeline.sources.city1m import CITY1M
from pipeline.sources.registry import SOURCES
from shards_spec.errors import UsageError
from shards_spec.manifest import Manifest
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore, Store


def look(_: Store) -> Look:
    return Look(is_recognised=False, what="no such file")


def look_again(_: Store) -> Look:
    return Look(is_recognised=True, what="any file")


@pytest.fixture
def manifest(set_folder: Path) -> Manifest:
    return read_manifest(LocalStore(set_folder))


def test_the_only_kind_that_makes_the_variant_is_taken_whatever_its_files_are_called(
    manifest: Manifest, source_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(CITY1M, recognises=look)
    monkeypatch.setitem(SOURCES, CITY1M.name, blind)
    assert survey_again(manifest, str(source_folder)).digest == manifest.plan_digest


def test_of_several_kinds_that_make_the_variant_the_dataset_tells_then_the_files(
    manifest: Manifest, source_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "other", replace(CITY1M, name="other", title="Other", recognises=look_again))
    plan = survey_again(manifest, str(source_folder))
    assert (plan.catalog.source, plan.digest) == (CITY1M, manifest.plan_digest)
    monkeypatch.setitem(SOURCES, "other", replace(CITY1M, name="other", recognises=look))
    assert survey_again(manifest, str(source_folder)).digest == manifest.plan_digest
    monkeypatch.setitem(SOURCES, "other", replace(CITY1M, name="other", recognises=look_again))
    with pytest.raises(
        UsageError, match=r"could be a source of several kinds: City1M-Full .*; City1M-Full because of any file"
    ):
        survey_again(manifest, str(source_folder))


def test_a_source_of_another_variant_is_refused(manifest: Manifest, source_folder: Path) -> None:
    other = msgspec.structs.replace(manifest, variant="other")
    with pytest.raises(UsageError, match=r"is a source of City1M-Full .*, but the set's variant is other"):
        survey_again(other, str(source_folder))


def test_an_option_that_no_kind_has_is_refused(manifest: Manifest, source_folder: Path) -> None:
    with pytest.raises(UsageError, match="--bags: no kind of source has such an option"):
        survey_again(manifest, str(source_folder), {"bags": "x"})
