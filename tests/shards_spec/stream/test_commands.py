"""``reid-shards stream`` and ``reid-shards export wids``."""

import json
from pathlib import Path

from tests.support.processes import run_command


def test_stream_measures_an_epoch(stream_folder: Path) -> None:
    done = run_command("stream", stream_folder, "--split", "gallery", "--size", "64x32")
    assert done.returncode == 0, done.stderr
    assert "samples/s; first batch after" in done.stdout


def test_stream_says_which_splits_there_are(stream_folder: Path) -> None:
    done = run_command("stream", stream_folder, "--split", "test")
    assert done.returncode == 2
    assert "protocol p1 has gallery, query, train" in done.stderr


def test_export_wids(stream_folder: Path, tmp_path: Path) -> None:
    done = run_command("export", "wids", stream_folder, "--to", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted(str(path) for path in tmp_path.iterdir())
    assert json.loads((tmp_path / "wids-p2-query.json").read_text())["wids_version"] == 1
