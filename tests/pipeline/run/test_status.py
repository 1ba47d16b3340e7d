"""How far a conversion is, seen from outside: ``status``, the events' lines, the metrics."""

import json
from pathlib import Path
from unittest import mock

import pytest

from pipeline.cli.events import print_event
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


def test_a_line_an_event(begun: tuple[LocalStore, list[ShardRecord]], capsys: pytest.CaptureFixture[str]) -> None:
    _, records = begun
    for event in [*records, Retry("p1-train-000007", 1, "OSError: [Errno 5] what", 1.0), None, Failure("x", "y")]:
        print_event(event)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    shard, *_, retry, failure = map(json.loads, lines)
    assert (shard["event"], shard["name"]) == ("shard", f"{records[0].cell}-{records[0].number:06d}")
    assert {"schema_version", "time", "samples", "units", "bytes", "sha256", "rejected_samples", "seconds"} <= set(
        shard
    )
    assert {"requests", "bytes_read", "bytes_used"} <= set(shard)
    assert (retry["event"], retry["error"], retry["attempt"]) == ("retry", "OSError: [Errno 5] what", 1)
    assert failure["event"] == "failure"


def test_convert_prints_its_events_for_programs(
    source_folder: Path, tmp_path: Path, shared_ray: tuple[str, str]
) -> None:
    out = tmp_path / "out"
    options = ("--samples-per-shard", 20, *shared_ray, "--json", "--quiet")
    result = run_command("convert", source_folder, out, *options)
    assert (result.returncode, result.stderr) == (0, "")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [event["event"] for event in events if event["event"] != "message"]
    shards = [event for event in events if event["event"] == "shard"]
    assert kinds == ["plan", "begin", *["shard"] * len(shards), "end"]
    plan, begin, *_, end = (event for event in events if event["event"] != "message")
    manifest = json.loads((out / "dataset.json").read_text())
    assert plan["digest"] == manifest["plan_digest"]
    assert plan["cells"] == {
        name: {"units": cell["units"], "samples": cell["samples"], "shards": len(cell["shards"])}
        for name, cell in manifest["cells"].items()
    }
    assert begin["units"] == sum(shard["units"] for shard in shards)
    assert (end["exit_code"], end["totals"]) == (0, manifest["totals"])
    assert {event["schema_version"] for event in events} == {1}


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
