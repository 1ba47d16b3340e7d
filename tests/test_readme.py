"""The pages say what is so: their commands, their code and their examples run here, and their links lead somewhere."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest
import typer.main

from pipeline.cli.app import app
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.variants.city1m import CITY1M, make_key
from shards_spec.verify.shard import check_sample
from tests.support.processes import PROGRAM, environment
from tests.support.sets import sample_rules
from tests.support.source import frame_image, mini_source

ROOT = Path(__file__).parents[1]
README, TRAINING = ROOT / "README.md", ROOT / "shards_spec" / "stream" / "TRAINING.md"
SPEC = ROOT / "shards_spec" / "SPEC.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md", "tests/benchmarks/README.md")),
    *sorted(path for folder in ("pipeline", "shards_spec") for path in (ROOT / folder).rglob("*.md")),
]
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]
ELSEWHERE = {
    "make": ("tests/test_setup.py", "make("),
    "head": ("tests/test_readme.py", "blocks(SPEC"),
    "tail": ("tests/test_readme.py", "blocks(SPEC"),
    ".venv/bin/pytest": ("tests/test_readme.py", "pytest"),
    "pip install reid": ("tests/support/installed.py", "install(requirement"),
    "pip install $(echo": ("tests/support/installed.py", "install(requirement"),
    "pip install --force": ("tests/pipeline/test_doctor.py", "pip uninstall --yes pillow"),
    "pip uninstall": ("tests/pipeline/test_doctor.py", "pip uninstall --yes pillow"),
    "python3 -m venv": ("tests/support/installed.py", '"-m", "venv"'),
    "~/reid-shards/bin/pip": ("tests/support/installed.py", "install(requirement"),
    "~/reid-shards/bin/reid-shards": ("tests/test_installed.py", '"--version"'),
}
"""How command lines of other programs begin, the test that has to do with them, and by what."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of each command line of a page."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run(words: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> None:
    env = {**environment(), **(variables or {})}
    done = subprocess.run([*PROGRAM, *words[1:]], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, on_ray: Mapping[str, str]) -> Path:
    """Where a user would type the commands: City1M lies in it, and the commands of the walk-through have run."""
    folder = tmp_path_factory.mktemp("readme")
    mini_source(groups=12, frames_a_group=8).write(folder / "City1M")
    walk = [words for words in commands(README) if {"City1M", "shards"} & set(words[2:])]
    assert [words[1] for words in walk] == ["plan", "convert", "verify", "report", "verify"]
    exports = commands(TRAINING)
    assert [words[1:3] for words in exports] == [["export", "wids"], ["export", "dali"]]
    for words in [*walk, *exports]:
        run(words, folder, on_ray)
    return folder


def test_the_walk_through_makes_a_set_a_page_and_lists(folder: Path) -> None:
    assert {"dataset.json", "report.html"} <= {path.name for path in (folder / "shards").iterdir()}
    assert {"wids-p1-train.json", "dali-p1-train.json"} <= {path.name for path in (folder / "lists").iterdir()}


def test_the_other_dataset_takes_the_same_commands(tmp_path: Path, on_ray: Mapping[str, str]) -> None:
    walk = [words for words in commands(README) if "sysu" in " ".join(words)]
    assert [words[1] for words in walk] == ["demo", "convert", "verify"]
    for words in walk:
        run(words, tmp_path, on_ray)
    assert (tmp_path / "sysu-shards" / "dataset.json").exists()


PYTHON = {
    (README, "import torch"): ("(images.shape, labels.unique().numel())", r"\(torch.Size\(\[64, 3, 256, 128\]\), 16\)"),
    (TRAINING, "import json, webdataset"): ("person.size", r"\(\d+, \d+\)"),
    (TRAINING, "from typing"): ("len(cmc)", r"loss \d+\.\d{3}, mAP [\d.]+%, rank 1 [\d.]+%, rank 5 [\d.]+%\n10"),
}
"""The Python of the pages: how a block begins, what is printed after it, and what is to be seen."""


@pytest.mark.parametrize(("page", "begins"), PYTHON, ids=[begins for _, begins in PYTHON])
def test_the_python_runs(folder: Path, page: Path, begins: str) -> None:
    result, expected = PYTHON[page, begins]
    (code,) = (block for block in blocks(page, "python") if block.startswith(begins))
    (folder / "example.py").write_text(f"{code}\nif __name__ == '__main__':\n    print({result})\n")
    ran = subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(f"{expected}\n", ran.stdout), ran.stdout


def test_the_commands_of_the_specification_give_the_manifests_digest(folder: Path) -> None:
    (block,) = blocks(SPEC, "sh")
    done = subprocess.run(["sh", "-e"], input=block, cwd=folder / "shards", capture_output=True, text=True, check=True)
    computed, told = done.stdout.split()
    assert computed == told == json.loads((folder / "shards" / "dataset.json").read_text())["sha256"]


def test_no_python_is_left_out() -> None:
    assert sum(len(blocks(page, "python")) for page in (README, TRAINING)) == len(PYTHON)


@pytest.mark.parametrize("query", blocks(README, "sql") + blocks(TRAINING, "sql"))
def test_the_sql_runs(folder: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    rows = duckdb.sql(query)
    assert rows is not None
    assert rows.fetchall()


def test_the_example_is_a_sidecar() -> None:
    (example,) = blocks(README, "json")
    sidecar = decode_sidecar(example.encode(), CITY1M)
    image = frame_image(0, sidecar.image_size)
    files = {"jpg": image, "json": encode_sidecar(sidecar)}
    check_sample(make_key(sidecar.frame, sidecar.person_id), files, sample_rules(sidecar.splits))


@pytest.fixture
def kept_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def parse(words: list[str]) -> None:
    """Parse a command line of ``reid-shards`` as the program does, and do no more."""
    command, context = typer.main.get_command(app), None
    rest = words[1:]
    while True:
        context = command.make_context(words[0], list(rest), parent=context)
        found = getattr(command, "commands", {}).get(rest[0]) if rest else None
        if found is None:
            return
        command, rest = found, rest[1:]


@pytest.mark.usefixtures("kept_signals")
@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_of_every_page_is_one(page: Path) -> None:
    for words in commands(page):
        if words[0] == "reid-shards":
            parse(words)
        else:
            (found,) = (known for known in ELSEWHERE if " ".join(words).startswith(known))
            file, by = ELSEWHERE[found]
            assert by in (ROOT / file).read_text(), words


@pytest.mark.usefixtures("kept_signals")
def test_the_commands_of_make_demo_are_some() -> None:
    variables = {name: value for name, value in os.environ.items() if name not in {"ARGS", "WORKERS", "MAKEFLAGS"}}
    command = ["make", "--dry-run", "demo"]
    lines = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout
    found = [shlex.split(line) for line in lines.splitlines() if line.startswith(".venv/bin/reid-shards")]
    assert [words[1] for words in found] == ["demo", "convert", "verify", "stream", "report"]
    for words in found:
        parse(words)


def targets() -> list[str]:
    text = "".join(page.read_text() for page in PAGES)
    return sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)))


def test_the_targets_exist() -> None:
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"demo", "test", "setup", "wheel", "bench", "lint"} <= set(targets())
    for target in targets():
        assert re.search(rf"^  {target}\s+\S", help_text, re.MULTILINE) or target == "help", target


def test_the_parts_of_the_benchmarks_exist() -> None:
    named = set(re.findall(r"make bench ARGS=(\w+)", "".join(page.read_text() for page in PAGES)))
    assert {"crop", "tars"} <= named
    for name in named:
        assert (ROOT / "tests" / "benchmarks" / f"bench_{name}.py").exists(), name


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:pipeline|shards_spec|tests)/[\w/.]*)`", README.read_text() + TRAINING.read_text()))),
)
def test_the_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_picture_is_small_and_beside_the_package_that_makes_it() -> None:
    (path,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text())
    data = (ROOT / path).read_bytes()
    assert path.startswith("pipeline/report/")
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    assert len(data) < 150_000


def test_the_options_exist() -> None:
    wide = {**os.environ, "COLUMNS": "200"}
    text = "".join(
        subprocess.run([*PROGRAM, *command, "--help"], capture_output=True, text=True, check=True, env=wide).stdout
        for command in (["demo"], ["convert"], ["report"], [])
    )
    for option in set(re.findall(r"`(?:[\w-]+ )*(--[a-z-]+)", README.read_text())):
        assert option in text or option == "--help", option
