"""The command line as a user meets it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main as cli
from shards_spec.cores import usable_cores
from shards_spec.version import SPEC_VERSION, __version__
from tests.support.processes import WAIT_SECONDS, descendants, run_command, start_command, wait_until
from tests.support.sets import digests
from tests.support.source import MiniSource, label_line, mini_source

COMMANDS = ("demo", "plan", "convert", "status", "verify", "report")


def test_shells_complete_commands_options_and_values() -> None:
    program = Path(sys.executable).with_name("reid-shards")
    for line, expected in (
        ("reid-shards st", ["status", "stream"]),
        ("reid-shards plan x --sa", ["--samples-per-shard"]),
        ("reid-shards plan x --shuffle g", ["groups"]),
    ):
        words = {"_REID_SHARDS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run([program], capture_output=True, text=True, check=True, env={**os.environ, **words})
        assert done.stdout.split() == expected


def test_version() -> None:
    assert run_command("--version").stdout == f"reid-shards {__version__}, shard format {SPEC_VERSION}\n"


def test_plan_prints_what_a_person_judges_by(source_folder: Path) -> None:
    result = run_command("plan", source_folder, "--samples-per-shard", 20)
    assert result.returncode == 0
    assert "p1-train_p2-train" in result.stdout
    assert "labelled box stand? xywh. Left, top, width, height.\n" in result.stdout
    assert "in every group? group. No: ids count" in result.stdout
    assert "48 frames, 120 samples" in result.stdout


def test_convert_refuses_another_conversions_folder_and_says_what_differs(
    source_folder: Path, set_folder: Path
) -> None:
    before = digests(set_folder)
    result = run_command("convert", source_folder, set_folder, "--samples-per-shard", 20, "--margin", 4)
    assert result.returncode == 2
    assert "--margin was 0, now 4" in result.stderr
    assert digests(set_folder) == before


def test_convert_of_a_complete_set_has_nothing_to_do(source_folder: Path, set_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in set_folder.rglob("*.tar")}
    result = run_command("convert", source_folder, set_folder, "--samples-per-shard", 20)
    assert result.returncode == 0
    assert "120 samples" in result.stdout
    assert "nothing to do" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in set_folder.rglob("*.tar")} == before


def test_convert_refuses_a_folder_with_other_things(source_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    result = run_command("convert", source_folder, tmp_path)
    assert result.returncode == 2
    assert "thesis.tex" in result.stderr


def test_too_many_rejects_is_exit_code_3_with_a_complete_set_and_known_before(
    tmp_path: Path, shared_ray: tuple[str, str]
) -> None:
    source = mini_source(groups=6)
    source.labels["train_part1.txt"].append(label_line("0000099_pCount2_cam1_0000001_day", [(0, (1, 1, 9, 20), 1.0)]))
    folder = source.write(tmp_path / "source")
    reason = "0 of 45 lines, 1 of 25 frames, 1 of 61 members are rejected, over --max-rejects 1%"
    result = run_command("plan", folder)
    assert result.returncode == 3
    assert f"the conversion will end with exit code 3: {reason}" in result.stdout
    assert run_command("plan", folder, "--max-rejects", "1").returncode == 0
    result = run_command("convert", folder, tmp_path / "out", *shared_ray)
    assert result.returncode == 3
    assert f"the conversion will end with exit code 3: {reason}" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(
        f"exit code 3: {reason}. The set holds all else; its rejects.jsonl"
    )
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["rejects"] == {"image_missing": 1}
    assert manifest["totals"]["accounts"]["members"]["rejected"] == 1
    assert run_command("verify", tmp_path / "out").returncode == 0
    assert run_command("convert", folder, tmp_path / "out", "--max-rejects", "1", *shared_ray).returncode == 0


def lose_a_split(folder: Path) -> str:
    (folder / "query_part2.txt").unlink()
    return "query_part2.txt is missing: protocol p2 has no query split"


def empty_a_split(folder: Path) -> str:
    (folder / "train_part1.txt").write_text("\n")
    return (
        "train_part1.txt (1 bytes): no frame that it labels can be converted: the train split of protocol p1 is empty"
    )


def lose_an_archive(folder: Path) -> str:
    (folder / "Images_3.zip").unlink()
    return "Images_3.zip seems to be missing"


INCOMPLETE = "the conversion will end with exit code 3: the source is incomplete, see the warning above"


@pytest.mark.parametrize("lose", [lose_a_split, empty_a_split, lose_an_archive])
def test_plan_says_that_an_incomplete_source_will_be_exit_code_3(tmp_path: Path, lose: Callable[[Path], str]) -> None:
    folder = mini_source(6).write(tmp_path / "source")
    warning = lose(folder)
    result = run_command("plan", folder, "--max-rejects", "99%")
    assert result.returncode == 3
    assert warning in result.stdout
    assert INCOMPLETE in result.stdout
    assert run_command("plan", folder, "--max-rejects", "100%").returncode == 0


def test_an_incomplete_source_is_exit_code_3_said_before_the_work_and_after_it(
    tmp_path: Path, shared_ray: tuple[str, str]
) -> None:
    folder, out = mini_source(6).write(tmp_path / "source"), tmp_path / "out"
    warning = lose_an_archive(folder)
    result = run_command("convert", folder, out, "--max-rejects", "99%", *shared_ray)
    assert result.returncode == 3
    before, _, after = result.stderr.partition(INCOMPLETE)
    assert warning in before
    assert warning in after
    assert "exit code 3: the source is incomplete, see the warning above (--max-rejects 100% accepts that)" in after
    again = run_command("convert", folder, out, "--max-rejects", "100%", *shared_ray)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert warning in again.stderr
    assert run_command("verify", out).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samples-per-shard", "0"), "--samples-per-shard 0: must be from 1 to 1,000,000"),
        (("--quality", "101"), "--quality 101"),
        (("--margin", "-1"), "--margin -1"),
        (("--size", "256"), "--size 256: give height x width"),
        (("--size", "0x5"), "--size 0x5: must be from 1"),
        (("--max-rejects", "many"), "--max-rejects many"),
        (("--max-rejects", "101%"), "at most 100%"),
        (("--box-order", "whxy"), "whxy"),
        (("--labels", "/nowhere"), "there is no folder /nowhere: check the name"),
        (("--workers", "0"), "--workers 0: must be from 1 to 1,000,000"),
    ],
)
def test_options_that_make_no_sense(
    source_folder: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run_command("convert", source_folder, tmp_path / "out", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.parametrize("command", [("demo", "--images", 20), ("convert", "nowhere"), ("verify",), ("stream",)])
def test_no_more_workers_than_cores_are_taken(command: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")  # whatever the command, it ends here
    result = run_command(*command, tmp_path / "out", "-j", 500)
    assert result.returncode == 2, result.stdout
    cores = usable_cores()
    have = "1 core" if cores == 1 else f"{cores} cores"
    warning = (
        f"warning: --workers 500: {have} may be used here, and more workers than cores would only take memory: {cores}"
    )
    assert result.stderr.count(warning) == 1
    assert "--workers" not in run_command(*command, tmp_path / "out", "-j", 1).stderr


def test_a_source_that_is_not_there_leaves_no_out(tmp_path: Path) -> None:
    result = run_command("convert", tmp_path / "nowhere", tmp_path / "out")
    assert result.returncode == 2
    assert f"there is no folder {tmp_path}/nowhere: check the name" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_lies_elsewhere_is_pointed_to_and_leaves_no_out(tmp_path: Path) -> None:
    below = mini_source(3).write(tmp_path / "data" / "City1M")
    for source, message in (
        (tmp_path / "data", "data holds no files itself; City1M/Images_2.zip is there: name that folder"),
        (below / "Images_2.zip", f"Images_2.zip is a file: name the folder that it lies in, {below}"),
    ):
        result = run_command("convert", source, tmp_path / "out")
        assert result.returncode == 2
        assert message in result.stderr.replace("\n", "")
        assert not (tmp_path / "out").exists()


def test_neither_of_source_and_out_may_lie_inside_the_other(tmp_path: Path) -> None:
    source = mini_source(3).write(tmp_path / "data" / "City1M")
    (tmp_path / "link").symlink_to(source)
    for out, message in (
        (source, "is SRC and OUT at once: choose an OUT beside it"),
        (source / "shards", "lies inside SRC"),
        (tmp_path / "link" / "shards", "lies inside SRC"),
        (tmp_path / "data", "lies inside OUT"),
    ):
        result = run_command("convert", source, out)
        assert result.returncode == 2
        assert message in result.stderr
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["City1M"]
    assert {path.suffix for path in source.iterdir()} == {".zip", ".txt"}


def test_a_ray_that_does_not_start_is_said(
    source_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc/nowhere")
    result = run_command("convert", source_folder, tmp_path / "out")
    assert result.returncode == 1
    assert "Ray did not start on this machine" in result.stderr
    assert "Traceback" not in result.stderr


def test_names_that_are_not_utf_8_are_refused(source_folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff")
    for result in (run_command("plan", odd), run_command("convert", source_folder, odd)):
        assert result.returncode == 2
        assert "odd\\udcff' is not UTF-8: rename the folder" in result.stderr
    folder = mini_source(3).write(tmp_path / "source")
    (folder / "Images_2.zip").rename(folder / os.fsdecode(b"Images_2\xff.zip"))
    result = run_command("plan", folder)
    assert result.returncode == 2
    assert "'Images_2\\udcff.zip' is not UTF-8: rename it" in result.stderr


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


def test_convert_says_what_was_decided(tmp_path: Path, shared_ray: tuple[str, str]) -> None:
    result = run_command("convert", mini_source(6).write(tmp_path / "source"), tmp_path / "out", *shared_ray)
    assert result.returncode == 0
    assert "labelled box stand? xywh. Left, top" in result.stderr
    assert "in every group? group. No: ids count" in result.stderr


def test_names_are_whole_where_there_is_no_terminal(source_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = run_command("plan", source_folder)
    assert re.search(r"│ p1-train_p2-train +│", result.stdout)


def test_verify_names_the_fault_and_exits_1(set_folder: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(set_folder, tmp_path / "set"))
    shard = next(out.rglob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-512])
    result = run_command("verify", out)
    assert result.returncode == 1
    assert shard.relative_to(out).as_posix() in result.stdout.replace("\n", "")
    nothing = run_command("verify", tmp_path / "nothing")
    assert nothing.returncode == 2
    assert f"there is no folder {tmp_path}/nothing: check the name" in nothing.stderr
    (tmp_path / "empty").mkdir()
    empty = run_command("verify", tmp_path / "empty")
    assert empty.returncode == 2
    assert "no dataset.json there" in empty.stderr


def test_what_verify_names_is_made_again(source_folder: Path, tmp_path: Path, shared_ray: tuple[str, str]) -> None:
    out = tmp_path / "out"
    command = ("convert", source_folder, out, "--samples-per-shard", 20, *shared_ray)
    assert run_command(*command).returncode == 0
    before = digests(out)
    shard, index = next(out.rglob("*.tar")), next(out.rglob("index.parquet"))
    shard.write_bytes(bytes(shard.stat().st_size))
    index.write_bytes(b"")
    result = run_command("verify", out)
    assert result.returncode == 1
    assert "2 faults. Where .work is still there, delete the files named above and dataset.json" in result.stdout
    for file in re.findall(r"fault: (\S+):", result.stdout):
        (out / file).unlink()
    (out / "dataset.json").unlink()
    result = run_command(*command)
    assert result.returncode == 0
    assert "continuing" in result.stderr
    assert digests(out) == before


def test_a_damaged_manifest_is_said_with_the_remedy(set_folder: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(set_folder, tmp_path / "set"))
    (out / "dataset.json").write_text("{")
    result = run_command("verify", out)
    assert result.returncode == 1
    assert f"{out}/dataset.json is damaged: " in result.stderr
    assert "delete it, and the command that made the set writes it again" in result.stderr


def test_ctrl_c_ends_verify_without_a_word_of_its_processes(set_folder: Path) -> None:
    process = start_command("verify", set_folder, "--workers", 2)

    def is_under_way() -> bool:
        return process.poll() is not None or sum("spawn_main" in line for _, line in descendants(process.pid)) == 2

    wait_until(is_under_way, "processes that check shards")
    time.sleep(0.2)  # the second has what it needs by then, and is still importing
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert output.endswith("interrupted\n")


@pytest.mark.parametrize("error", [MemoryError(), EOFError("Images_2.zip: ends at byte 7")])
def test_what_a_command_runs_out_of_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end() -> None:
        raise error

    monkeypatch.setattr(cli, "app", end)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {str(error) or cli.NO_MEMORY}\n"
