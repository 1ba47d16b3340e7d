"""The README says what is so: its commands, its code and its example run here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.variants.city1m import CITY1M, make_key
from shards_spec.verify.shard import check_sample
from tests.support.processes import PROGRAM, environment
from tests.support.sets import sample_rules
from tests.support.source import frame_image, mini_source

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user would type the commands: City1M lies in it, and the commands of the walk-through have run."""
    folder = tmp_path_factory.mktemp("readme")
    mini_source().write(folder / "City1M")
    commands = [line for block in blocks("sh") for line in block.splitlines() if " City1M" in line or " shards" in line]
    assert [command.split()[1] for command in commands[:3]] == ["plan", "convert", "verify"]
    for command in commands:
        program, *arguments = command.split()
        if (program == "reid-shards" and "City1M" in arguments[1:2]) or arguments[:2] == ["verify", "shards"]:
            subprocess.run([*PROGRAM, *arguments], cwd=folder, env=environment(), check=True)
    return folder


def test_the_walk_through_makes_a_set(folder: Path) -> None:
    assert (folder / "shards" / "dataset.json").exists()


def test_the_other_dataset_takes_the_same_commands(tmp_path: Path) -> None:
    commands = [line.split()[1:] for block in blocks("sh") for line in block.splitlines() if "sysu" in line]
    assert [command[0] for command in commands] == ["demo", "convert", "verify"]
    for command in commands:
        subprocess.run([*PROGRAM, *command], cwd=tmp_path, env=environment(), check=True)
    assert (tmp_path / "sysu-shards" / "dataset.json").exists()


@pytest.mark.parametrize(
    ("begins", "result", "expected"),
    [
        ("import json, webdataset", "person.size", r"\(\d+, \d+\)\n"),
        (
            "from shards_spec import",
            "(images.shape, labels.unique().numel())",
            r"\(torch.Size\(\[64, 3, 256, 128\]\), 16\)\n",
        ),
    ],
)
def test_the_python_runs(folder: Path, begins: str, result: str, expected: str) -> None:
    (code,) = (block for block in blocks("python") if block.startswith(begins))
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
    assert re.fullmatch(expected, ran.stdout), ran.stdout


def test_no_python_is_left_out() -> None:
    # The third is the training loop, which the reader's tests run.
    assert len(blocks("python")) == 3


@pytest.mark.parametrize("query", blocks("sql"))
def test_the_sql_runs(folder: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    rows = duckdb.sql(query)
    assert rows is not None
    assert rows.fetchall()


def test_the_example_is_a_sidecar() -> None:
    (example,) = blocks("json")
    sidecar = decode_sidecar(example.encode(), CITY1M)
    image = frame_image(0, sidecar.image_size)
    files = {"jpg": image, "json": encode_sidecar(sidecar)}
    check_sample(make_key(sidecar.frame, sidecar.person_id), files, sample_rules(sidecar.splits))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))))
def test_the_targets_exist(target: str) -> None:
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^  {target}\s+\S", help_text, re.MULTILINE) or target == "help"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:\]\(|`)((?:pipeline|shards_spec|tests)/[\w/.]*)", README))))
def test_the_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_options_exist() -> None:
    wide = {**os.environ, "COLUMNS": "200"}
    text = "".join(
        subprocess.run([*PROGRAM, command, "--help"], capture_output=True, text=True, check=True, env=wide).stdout
        for command in ("demo", "convert", "report")
    )
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert option in text or option == "--help"
