import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.demo import DemoSummary, make_demo

Made = tuple[Path, DemoSummary]


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small demo without traps, drawn in this process."""
    out = tmp_path_factory.mktemp("clean")
    return out, make_demo(out, images=30, workers=1)


@pytest.fixture(scope="session")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A demo with every trap."""
    out = tmp_path_factory.mktemp("trapped")
    return out, make_demo(out, images=100, traps=True, workers=1)


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """A function that returns the SHA-256 of every file in a folder, by name."""

    def digest(folder: Path) -> dict[str, str]:
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}

    return digest
