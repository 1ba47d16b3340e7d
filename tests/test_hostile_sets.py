"""Nothing that a stranger can put into a set, its ``.work``, a source or the reader's cache ends in a traceback.

A short campaign of ``tests.hostile``; ``make soak`` runs the long one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import run_command

ROOT = Path(__file__).parents[1]
CASES = 48
"""Each scenario comes several times; `make soak` goes on for an hour."""


@pytest.mark.slow
def test_hostile_sets_sources_states_and_caches() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "--cases", str(CASES), "--seconds", "600"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "'complete set': 16" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "verify", "stream", "report", "convert", "export"])
def test_a_process_of_its_own_says_one_line_for_a_manifest_without_end(
    command: str, source_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "[/x]\x1b[31m"
    out.mkdir(parents=True)
    (out / "dataset.json").symlink_to("/dev/zero")
    words: dict[str, list[object]] = {"convert": [source_folder, out], "export": ["wids", out]}
    result = run_command(command, *words.get(command, [out]))
    assert result.returncode in {1, 2}
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error: ") == 1
    assert "[/x]\\x1b[31m/dataset.json" in result.stderr


@pytest.mark.slow
def test_a_named_pipe_in_place_of_the_caches_lock(
    set_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run_command("stream", set_folder).returncode == 0
    (lock,) = tmp_path.glob("reid-shards/*.lock")
    shutil.rmtree(lock.with_suffix(""))
    lock.unlink()
    os.mkfifo(lock)
    result = run_command("stream", set_folder, timeout=60)
    assert result.returncode == 0, result.stderr
