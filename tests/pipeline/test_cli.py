"""The command line as a user meets it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from shards_spec.version import SPEC_VERSION, __version__
from tests.support.processes import run_command
from tests.support.sets import digests
from tests.support.source import MiniSource, label_line, mini_source

COMMANDS = ("demo", "plan", "convert", "status", "verify")


def test_help_teaches() -> None:
    text = run_command("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"│ {command}\s+\w", text)
    assert "Exit codes" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    text = run_command(command, "--help").stdout
    for line in text.splitlines():
        if match := re.match(r"│\s+\*?\s*(--[a-z-]+)\s+(.*)│$", line):
            assert len(match[2].split()) > 2, line


def test_version() -> None:
    assert run_command("--version").stdout == f"reid-shards {__version__}, shard format {SPEC_VERSION}\n"


def test_plan_prints_what_a_person_judges_by(source_folder: Path) -> None:
    result = run_command("plan", source_folder, "--samples-per-shard", 20)
    assert result.returncode == 0
    assert "p1-train_p2-train" in result.stdout
    assert "box_order: xywh" in result.stdout
    assert "identity_scope: group" in result.stdout
    assert "48 frames, 120 samples" in result.stdout


def test_convert_refuses_another_conversions_folder_and_says_what_differs(
    source_folder: Path, set_folder: Path
) -> None:
    before = digests(set_folder)
    result = run_command("convert", source_folder, set_folder, "--samples-per-shard", 20, "--margin", 4)
    assert result.returncode == 2
    assert "margin was 0, now 4" in result.stderr
    assert digests(set_folder) == before


def test_convert_of_a_complete_set_has_nothing_to_do(source_folder: Path, set_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in set_folder.rglob("*.tar")}
    result = run_command("convert", source_folder, set_folder, "--samples-per-shard", 20)
    assert result.returncode == 0
    assert "120 samples" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in set_folder.rglob("*.tar")} == before


def test_convert_refuses_a_folder_with_other_things(source_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    result = run_command("convert", source_folder, tmp_path)
    assert result.returncode == 2
    assert "thesis.tex" in result.stderr


def test_too_many_rejects_is_exit_code_3_with_a_complete_set(tmp_path: Path) -> None:
    source = mini_source(groups=6)
    source.labels["train_part1.txt"].append(label_line("0000099_pCount2_cam1_0000001_day", [(0, (1, 1, 9, 20), 1.0)]))
    folder = source.write(tmp_path / "source")
    result = run_command("convert", folder, tmp_path / "out")
    assert result.returncode == 3
    assert "rejects.jsonl" in result.stderr
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["rejects"] == {"frame_missing": 1}
    assert manifest["totals"]["rejected_members"] == 1
    assert run_command("verify", tmp_path / "out").returncode == 0
    assert run_command("convert", folder, tmp_path / "out", "--max-rejects", "1").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samples-per-shard", "0"), "--samples-per-shard 0: must be from 1"),
        (("--quality", "101"), "--quality 101"),
        (("--margin", "-1"), "--margin -1"),
        (("--size", "256"), "--size 256: give height x width"),
        (("--size", "0x5"), "--size, height 0"),
        (("--max-rejects", "many"), "--max-rejects many"),
        (("--box-order", "whxy"), "whxy"),
        (("--labels", "/nowhere"), "/nowhere"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_options_that_make_no_sense(
    source_folder: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run_command("convert", source_folder, tmp_path / "out", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_sources_that_make_no_sense(tmp_path: Path) -> None:
    def error_of(source: MiniSource) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        result = run_command("plan", source.write(folder))
        assert result.returncode == 2, result.stdout
        assert "Traceback" not in result.stderr
        return result.stderr

    assert ".zip" in error_of(MiniSource(labels=mini_source(3).labels))
    assert "train_part1.txt" in error_of(MiniSource(archives=mini_source(3).archives))
    truncated = mini_source(3)
    folder = truncated.write(tmp_path / "truncated")
    data = (folder / "Images_2.zip").read_bytes()
    (folder / "Images_2.zip").write_bytes(data[: len(data) // 2])
    result = run_command("plan", folder)
    assert result.returncode == 2
    assert "Images_2.zip" in result.stderr
    assert "truncated" in result.stderr


def test_a_missing_archive_is_a_warning_before_the_work(tmp_path: Path) -> None:
    source = mini_source(6)
    del source.archives["Images_3.zip"]
    result = run_command("plan", source.write(tmp_path / "source"))
    assert result.returncode == 0
    assert "warning" in result.stdout
    assert "frame_missing" in result.stdout


def test_verify_names_the_fault_and_exits_1(set_folder: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(set_folder, tmp_path / "set"))
    shard = next(out.rglob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-512])
    result = run_command("verify", out)
    assert result.returncode == 1
    assert shard.relative_to(out).as_posix() in result.stdout.replace("\n", "")
    nothing = run_command("verify", tmp_path / "nothing")
    assert nothing.returncode == 2
    assert "dataset.json" in nothing.stderr
