"""The wheel in fresh environments: what an editable install in the project's own folder hides."""

from pathlib import Path

import pytest

from shards_spec.version import SPEC_VERSION, __version__
from tests.support.installed import Installation, build_wheel, copy_tree, make_installation
from tests.support.sets import digests

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def training(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The base install: no Pillow, no Ray, no PyTorch."""
    return make_installation(tmp_path_factory.mktemp("training"), str(wheel))


COMMANDS = (
    "",
    "demo",
    "plan",
    "convert",
    "status",
    "verify",
    "stream",
    "report",
    "export",
    "export wids",
    "export dali",
    "doctor",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_needs_the_base_install_alone(training: Installation, tmp_path: Path, command: str) -> None:
    done = training.run(tmp_path, *command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: reid-shards" in done.stdout


def test_the_version_is_this_trees(training: Installation, tmp_path: Path) -> None:
    done = training.run(tmp_path, "--version")
    assert done.stdout == f"reid-shards {__version__}, shard format {SPEC_VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], "complete: "),
        (["stream"], "samples/s"),
        (["export", "wids"], "wids-p1-train.json"),
        (["export", "dali"], "dali-p1-train.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_base_install_reads_sets(
    training: Installation, set_folder: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    done = training.run(tmp_path, *arguments, set_folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["verify", "SET"], "pip install 'reid-shards[decode]'"),
        (["stream", "SET", "--size", "64x32"], "pip install 'reid-shards[decode]'"),
        (["stream", "SET", "--workers", "2"], "pip install torch"),
        (["report", "SET", "--to", "OUT"], "pip install jinja2"),
        (["demo", "OUT"], "pip install 'reid-shards[decode]'"),
        (["plan", "SRC"], "pip install 'reid-shards[convert]'"),
        (["convert", "SRC", "OUT"], "pip install 'reid-shards[convert]'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_the_base_install_lacks_is_said_in_one_line(
    training: Installation,
    source_folder: Path,
    set_folder: Path,
    tmp_path: Path,
    arguments: list[str],
    remedy: str,
) -> None:
    places = {"SRC": source_folder, "SET": set_folder, "OUT": tmp_path / "out"}
    done = training.run(tmp_path, *(places.get(argument, argument) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(remedy)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def decoding(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The base install to which the command was applied that messages name."""
    installation = make_installation(tmp_path_factory.mktemp("decoding"), str(wheel))
    installation.install("reid-shards[decode]")
    return installation


@pytest.mark.parametrize("arguments", [["verify", "SET"], ["stream", "SET", "--size", "64x32"]], ids=" ".join)
def test_the_remedy_remedies(decoding: Installation, set_folder: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = decoding.run(tmp_path, *(set_folder if argument == "SET" else argument for argument in arguments))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def converting(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return make_installation(tmp_path_factory.mktemp("converting"), f"{wheel}[convert]")


@pytest.fixture(scope="module")
def expected(converting: Installation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A source, and the set that is made of it in an empty folder."""
    folder = tmp_path_factory.mktemp("expected")
    done = converting.run(folder, "demo", "source", "--images", "20", "--workers", "2")
    assert done.returncode == 0, done.stderr
    done = converting.run(folder, "convert", "source", "out", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return folder / "source", digests(folder / "out")


def convert_in(folder: Path, converting: Installation, source: Path) -> dict[str, str]:
    done = converting.run(folder, "convert", source, "data/out", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    done = converting.run(folder, "verify", "data/out", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    done = converting.run(folder, "report", "data/out", "--to", "page.html")
    assert done.returncode == 0, done.stdout + done.stderr
    return digests(folder / "data" / "out")


def test_conversions_work_inside_a_clone(
    converting: Installation, clone: Path, expected: tuple[Path, dict[str, str]]
) -> None:
    source, digests_expected = expected
    assert not list((clone / "pipeline").rglob("*.so"))  # as in a fresh clone: its package cannot cut
    assert convert_in(clone, converting, source) == digests_expected


def test_a_folder_with_modules_of_the_same_names_is_not_imported(
    converting: Installation, tmp_path: Path, expected: tuple[Path, dict[str, str]]
) -> None:
    source, digests_expected = expected
    marker = tmp_path / "imported"
    code = f"open({str(marker)!r}, 'a').write(__name__)\n"
    for name in ("pipeline", "shards_spec", "PIL", "msgspec"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    (tmp_path / "ray.py").write_text(code)
    (tmp_path / "sitecustomize.py").write_text(code)
    assert convert_in(tmp_path, converting, source) == digests_expected
    assert not marker.exists(), marker.read_text()
