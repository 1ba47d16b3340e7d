"""Setting up and cleaning up, with the real make in a copy of what it needs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone, as far as make reads it."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


@pytest.fixture
def make(tree: Path) -> Make:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        names = ("PYTHON", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES")  # the tests may have been started by make
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment["LC_ALL"] = "C"
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)

    return run


def fill(tree: Path, *files: str) -> None:
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text("precious")


def test_clean_removes_what_was_built_and_what_the_demo_made_and_nothing_else(tree: Path, make: Make) -> None:
    kept = (".venv/bin/python", "data/shards/dataset.json", "data/shards/.work/plan.json", "data/City1M/Images_2.zip")
    made = ("data/demo/Images_2.zip", "data/demo-shards/dataset.json", "build/lib/x.py", "dist/x.whl", ".mypy_cache/x")
    fill(tree, *kept, *made)
    result = make("clean")
    assert result.returncode == 0, result.stderr
    assert [file for file in kept if not (tree / file).exists()] == []
    assert [file for file in made if (tree / file).parent.exists()] == []


def test_a_set_that_lies_where_convert_writes_by_default_survives(tree: Path, make: Make) -> None:
    command = make("--dry-run", "convert").stdout.splitlines()[-1]
    out = command.split('"')[3]
    fill(tree, f"{out}/dataset.json")
    assert make("clean").returncode == 0
    assert (tree / out / "dataset.json").exists()


def interpreter(path: Path, version: str) -> str:
    """What claims to be a Python of this version, and is good for nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return str(path)


def error_of(result: "subprocess.CompletedProcess[str]") -> str:
    """The one line that set-up says; make adds one of its own."""
    assert result.returncode != 0
    line, own = result.stderr.splitlines()
    assert own.startswith("make: ***")
    return line


def test_an_interpreter_that_does_not_exist_is_said_in_one_line(make: Make) -> None:
    for name in ("python3.99", "/nowhere/python3"):
        assert error_of(make("setup", f"PYTHON={name}")).startswith(f"setup: there is no interpreter {name}; Python 3.")


def test_what_is_no_interpreter_is_said_in_one_line(make: Make, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'program: command not found' >&2\nexit 127\n")
    program.chmod(0o755)
    message = error_of(make("setup", f"PYTHON={program}"))
    assert message.startswith(f"setup: {program} does not run as a Python interpreter; Python 3.")


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.15", "3.1"])
def test_a_python_that_is_not_supported_is_named(make: Make, tmp_path: Path, version: str) -> None:
    python = interpreter(tmp_path / "python", version)
    assert error_of(make("setup", f"PYTHON={python}")).startswith(
        f"setup: {python} is Python {version}; Python 3.11 to"
    )


def test_another_python_than_that_of_venv_is_refused(tree: Path, make: Make) -> None:
    interpreter(tree / ".venv" / "bin" / "python", "3.11")
    message = error_of(make("setup", f"PYTHON={interpreter(tree / 'python', '3.12')}"))
    assert message == f"setup: .venv holds Python 3.11, and {tree}/python is Python 3.12: remove it first (rm -r .venv)"


def test_set_up_and_metadata_allow_the_same_pythons() -> None:
    text = (ROOT / ".ci" / "setup").read_text()
    metadata = (ROOT / "pyproject.toml").read_text()
    versions = [f"3.{minor}" for minor in range(11, 30) if f'"Programming Language :: Python :: 3.{minor}"' in metadata]
    assert f"    {' | '.join(versions)}) ;;" in text
    assert f'needed="Python {versions[0]} to {versions[-1]} is needed' in text
    assert f'requires-python = ">={versions[0]},<3.{int(versions[-1][2:]) + 1}"' in metadata
    assert f"Python {versions[0]} to {versions[-1]}" in (ROOT / "README.md").read_text()
    assert VERSION in versions
