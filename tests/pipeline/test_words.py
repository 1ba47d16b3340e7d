"""A dataset is one folder of ``pipeline/sources``: nothing outside of it names the dataset or uses its words."""

import re
from pathlib import Path

import pytest

import pipeline
from pipeline.sources.registry import SOURCES

ROOT = Path(pipeline.__path__[0])
WORDS = re.compile(
    r"city ?1m|box_?order|identity_?scope|group_ids?\b|Images_|pCount|person_?models|_part\d|label_lines|sysu|bag_id",
    re.IGNORECASE,
)
"""The names of datasets, and words that only one of them has."""
EXEMPT = {
    "sources/registry.py",  # lists the kinds of sources
}


def modules() -> list[Path]:
    folders = {ROOT / "sources" / folder.name for folder in (ROOT / "sources").iterdir() if folder.is_dir()}
    outside = [path for path in ROOT.rglob("*.py") if not folders & set(path.parents)]
    return [path for path in outside if ROOT / "demo" not in path.parents]


def test_each_kind_of_source_has_a_folder_of_its_own() -> None:
    for source in SOURCES.values():
        assert source.converter.startswith("pipeline.sources.")
        folder = source.converter.split(".")[2]
        assert (ROOT / "sources" / folder / "__init__.py").exists()


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in modules()])
def test_no_module_outside_of_a_sources_folder_has_its_words(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() in EXEMPT:
        return
    found = [line.strip() for line in path.read_text().splitlines() if WORDS.search(line)]
    assert found == []


def test_the_words_are_those_of_a_source() -> None:
    own = "".join(path.read_text() for path in (ROOT / "sources" / "city1m").rglob("*.py"))
    assert {match[0].lower() for match in WORDS.finditer(own)} >= {"city1m", "box_order", "identity_scope", "images_"}
