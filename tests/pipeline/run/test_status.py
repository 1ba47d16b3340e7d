"""How far a conversion is, seen from outside: ``status``, the log's lines, the metrics."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from rich.console import Console

from pipeline.cli import log
from pipeline.cluster.metrics import COUNTED, count_shard
from pipeline.cluster.scheduler import Failure, Retry
from pipeline.run.resume import claim
from pipeline.run.status import read_status
from pipeline.shards.convert import convert_shard
from pipeline.shards.record import ShardRecord
from pipeline.shards.tasks import shard_task
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore
from tests.support.processes import run_command
from tests.support.sets import plan_source


@pytest.fixture
def begun(source_folder: Path, tmp_path: Path) -> tuple[LocalStore, list[ShardRecord]]:
    """A set of which three shards are there, and a fourth but for its tar."""
    out = LocalStore(tmp_path / "out")
    plan = plan_source(source_folder)
    assert not claim(out, plan)
    records = [convert_shard(shard_task(plan, shard), LocalStore(source_folder), out) for shard in plan.shards[:4]]
    out.delete(f"{plan.shards[3].cell}/{plan.shards[3].cell}-{plan.shards[3].number:06d}.tar")
    return out, records[:3]


def test_a_set_that_was_begun(begun: tuple[LocalStore, list[ShardRecord]], source_folder: Path) -> None:
    out, records = begun
    plan = plan_source(source_folder)
    status = read_status(out)
    assert not status.is_complete
    assert status.holder is None
    assert (status.shards, status.shards_planned) == (3, len(plan.shards))
    assert (status.units, status.units_planned) == (
        sum(record.units for record in records),
        plan.catalog.rows.num_rows,
    )
    assert (status.samples, status.bytes) == (sum(r.samples for r in records), sum(r.bytes for r in records))
    result = run_command("status", out.url)
    assert result.returncode == 0, result.stderr
    assert f"3 of {len(plan.shards)} shards" in result.stdout
    assert "nobody is writing to it" in result.stdout


def test_a_complete_set(set_folder: Path) -> None:
    result = run_command("status", set_folder)
    totals = json.loads((set_folder / "dataset.json").read_text())["totals"]
    assert result.returncode == 0, result.stderr
    assert (
        f"complete: {totals['shards']} shards, {totals['units']} frames, {totals['samples']} samples" in result.stdout
    )
    assert "nobody" not in result.stdout


def test_no_set_is_exit_code_2(tmp_path: Path) -> None:
    result = run_command("status", tmp_path)
    assert result.returncode == 2
    assert "holds no set" in result.stderr
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match=f"there is no folder {tmp_path}/nowhere: check the name"):
        read_status(LocalStore(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"{tmp_path}/file is a file: name the folder that it lies in, {tmp_path}"):
        read_status(LocalStore(tmp_path / "file"))
    assert not (tmp_path / "nowhere").exists()


def test_an_older_plan_is_read(begun: tuple[LocalStore, list[ShardRecord]]) -> None:
    out, _ = begun
    plan = json.loads(out.read_whole(".work/plan.json"))
    for name in ("shards", "units", "samples"):
        del plan[name]
    out.put(".work/plan.json", json.dumps(plan).encode())
    assert read_status(out).shards == 3


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the log's lines go to."""
    output = io.StringIO()
    before = log.LOGGER.handlers[:]
    log.log_to(Console(file=output, width=40))
    yield output
    log.LOGGER.handlers[:] = before
    log.LOGGER.setLevel(logging.NOTSET)


def test_a_line_a_shard(begun: tuple[LocalStore, list[ShardRecord]], lines: io.StringIO) -> None:
    _, records = begun
    for event in [*records, Retry("p1-train-000007", 1, "OSError: [Errno 5] what", 1.0), None, Failure("x", "y")]:
        log.log_event(event)
    shard, *_, retry, failure = map(json.loads, lines.getvalue().splitlines())
    assert len(lines.getvalue().splitlines()) == 5
    assert (shard["event"], shard["name"]) == ("shard", f"{records[0].cell}-{records[0].number:06d}")
    assert {"time", "samples", "units", "bytes", "sha256", "rejected_samples", "seconds"} <= set(shard)
    assert {"requests", "bytes_read", "bytes_used"} <= set(shard)
    assert (retry["event"], retry["error"], retry["attempt"]) == ("retry", "OSError: [Errno 5] what", 1)
    assert failure["event"] == "failure"


def test_verbose_prints_the_lines(source_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_command("convert", source_folder, out, "--samples-per-shard", 20, "--workers", 2, "--verbose")
    assert result.returncode == 0, result.stderr
    shards = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    totals = json.loads((out / "dataset.json").read_text())["totals"]
    assert sum(shard["samples"] for shard in shards) == totals["samples"]
    assert f" in {sum(shard['requests'] for shard in shards)} requests, " in result.stdout


def test_without_verbose_nothing_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    log.log_event(Retry("p1-train-000007", 1, "OSError", 1.0))
    assert capfd.readouterr() == ("", "")


def test_metrics_add_up(begun: tuple[LocalStore, list[ShardRecord]]) -> None:
    _, records = begun
    with mock.patch("ray.util.metrics.Counter.inc") as inc, mock.patch("ray.util.metrics.Histogram.observe") as observe:
        for record in records:
            count_shard(record)
    counted = sum(call.args[0] for call in inc.call_args_list)
    assert counted == pytest.approx(
        sum(getattr(record, field) for record in records for field in COUNTED)
        + sum(seconds for record in records for seconds in record.seconds.values())
    )
    assert [call.args[0] for call in observe.call_args_list] == [record.seconds["total"] for record in records]
