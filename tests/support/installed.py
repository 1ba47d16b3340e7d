"""The project as its users install it: a wheel, built from a copy of the working tree, in environments of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"

UNREACHABLE = "connection broken by"
"""What pip says when it cannot reach a registry, before it goes on as if that had no packages."""


def pip(*arguments: object) -> None:
    """Run pip; where it cannot reach a registry, the tests that need it are skipped."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and UNREACHABLE in done.stderr + done.stdout:
        pytest.skip("pip cannot reach a registry")
    assert done.returncode == 0, done.stdout + done.stderr


def copy_tree(folder: Path) -> Path:
    """Copy the files that git has or would add: a clone, with what is not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():  # else it was deleted and that is not committed yet
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def build_wheel(tree: Path, folder: Path) -> Path:
    """Build the wheel as pip does for whoever installs from a clone."""
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, tree)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment."""

    folder: Path

    def install(self, requirement: str, *options: object) -> None:
        """Install a package into it."""
        pip("--python", self.folder / "bin" / "python", "install", "--quiet", "--no-compile", *options, requirement)

    def run(self, cwd: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run ``reid-shards`` in a folder, as from a shell whose environment says nothing of Python or Ray."""
        names = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "RAY_ADDRESS")
        environment = {name: value for name, value in os.environ.items() if name not in names}
        command = [str(self.folder / "bin" / "reid-shards"), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def make_installation(folder: Path, requirement: str) -> Installation:
    """Make an environment and install a package with the versions that the project is tested with."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    installation = Installation(folder)
    installation.install(requirement, "--constraint", CONSTRAINTS)
    return installation
