"""Each package has a README.md, which names nothing that is not there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import pipeline
import shards_spec

ROOT = Path(pipeline.__path__[0])
SPEC = Path(shards_spec.__path__[0])
PACKAGES = [
    *(path.parent for root in (ROOT, SPEC) for path in sorted(root.glob("*/__init__.py"))),
    ROOT / "deploy",
    SPEC,
]
READMES = [path for root in (ROOT, SPEC) for path in sorted(root.rglob("README.md"))]
LONGEST = 70
"""Lines of a README.md."""


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_each_package_has_a_readme_and_what_its_table_names_is_there(package: Path) -> None:
    text = (package / "README.md").read_text()
    assert 3 <= len(text.splitlines()) <= LONGEST
    table = "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    for named in re.findall(r"`([\w/]+(?:\.py|/))`", table):
        assert (package / named).exists(), named


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_what_a_readme_points_to_exists(readme: Path) -> None:
    text = readme.read_text()
    for path in re.findall(r"`((?:pipeline|shards_spec|tests)/[\w/.]+)`", text):
        assert (ROOT.parent / path).exists(), path
    if readme.parent == ROOT:
        for folder in re.findall(r"`(\w+/)`", text):
            assert (ROOT / folder).is_dir(), folder


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_the_names_that_an_example_imports_exist(readme: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_each_function_that_the_walk_names_is_where_it_says() -> None:
    walk = (ROOT / "README.md").read_text()
    sources = "\n".join(path.read_text() for path in ROOT.rglob("*.py"))
    names = set(re.findall(r"`([a-z_]+)`", walk)) - {"shards_spec"}
    assert len(names) >= 6
    for name in names:
        assert f"def {name}(" in sources, name
