"""What commands print for programs."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main as cli

Ask = Callable[..., tuple[int, Any]]
PAGE = (Path(cli.__file__).parent / "README.md").read_text()


@pytest.fixture
def kept_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def ask(kept_signals: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:  # noqa: ARG001
    """Runs a command in this process with ``--json``; returns the exit code and the one object that it prints."""

    def ask_command(*arguments: object) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["reid-shards", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        (line,) = capsys.readouterr().out.splitlines()
        told = json.loads(line)
        assert told.pop("schema_version") == 1
        assert told["command"] == " ".join(map(str, arguments[: 1 + (arguments[0] == "export")]))
        assert all(f"`{name}`" in PAGE for name in told)
        return int(ended.value.code or 0), told

    return ask_command


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "dataset.json").read_text())


def test_plan(source_folder: Path, set_folder: Path, ask: Ask) -> None:
    code, told = ask("plan", source_folder, "--samples-per-shard", 20)
    manifest = manifest_of(set_folder)
    assert code == 0
    assert (told["digest"], told["decisions"]) == (manifest["plan_digest"], manifest["decisions"])
    assert told["accounts"] == manifest["totals"]["accounts"]
    assert told["reasons"] == told["gaps"] == []


def test_status(set_folder: Path, ask: Ask) -> None:
    totals = manifest_of(set_folder)["totals"]
    code, told = ask("status", set_folder)
    assert code == 0
    assert told["is_complete"] is True
    assert {name: told[name] for name in ("samples", "shards", "bytes")} == {
        name: totals[name] for name in ("samples", "shards", "bytes")
    }


def test_verify_of_a_sound_and_of_a_damaged_set(set_folder: Path, tmp_path: Path, ask: Ask) -> None:
    code, told = ask("verify", set_folder, "--workers", 1)
    assert (code, told["faults"], told["totals"]) == (0, [], manifest_of(set_folder)["totals"])
    out = Path(shutil.copytree(set_folder, tmp_path / "set"))
    shard = next(out.rglob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-512])
    code, told = ask("verify", out, "--workers", 1)
    assert code == 1
    assert [fault["file"] for fault in told["faults"]] == [shard.relative_to(out).as_posix()]


def test_stream_takes_a_protocol_by_its_number(set_folder: Path, ask: Ask) -> None:
    manifest = manifest_of(set_folder)
    samples = sum(manifest["cells"][cell]["samples"] for cell in manifest["protocols"]["p2"]["query"])
    code, told = ask("stream", set_folder, "--protocol", 2, "--split", "query")
    assert (code, told["samples"], told["protocol"], told["split"]) == (0, samples, "p2", "query")
    assert ask("stream", set_folder)[1]["split"] == "train"


def test_report_export_and_doctor_name_what_they_found_and_wrote(set_folder: Path, tmp_path: Path, ask: Ask) -> None:
    page = tmp_path / "page.html"
    code, told = ask("report", set_folder, "--no-images", "--to", page)
    assert (code, told["file"], told["bytes"], told["faults"]) == (0, str(page), page.stat().st_size, [])
    code, told = ask("export", "wids", set_folder, "--to", tmp_path)
    assert code == 0
    assert told["files"]
    assert all(Path(file).is_file() for file in told["files"])
    _, told = ask("doctor")
    assert {"topic", "fact", "problem"} == set(told["findings"][0])


@pytest.mark.usefixtures("kept_signals")
def test_an_interrupted_conversion_ends_with_an_event(
    source_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.run.convert.convert_dataset", interrupt)
    monkeypatch.setattr("sys.argv", ["reid-shards", "convert", str(source_folder), str(tmp_path / "out"), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (ended.value.code, told["event"], told["exit_code"], told["totals"]) == (130, "end", 130, None)
