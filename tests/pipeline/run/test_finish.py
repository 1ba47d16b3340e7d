"""What a set is completed from may be gone or damaged by then: the shard is made again, and the bytes are the same."""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.plan import Plan
from pipeline.run.finish import DamagedPartError, finish
from pipeline.run.resume import claim, load_records
from pipeline.shards.convert import convert_shard
from pipeline.shards.record import encode_record, index_part_file, record_file
from pipeline.shards.tasks import shard_task, shards_to_make
from shards_spec.errors import SpecError
from shards_spec.rejects import Reject, RejectReason
from shards_spec.storage import LocalStore
from tests.support.processes import run_command
from tests.support.sets import digests, plan_source

OPTIONS = ("--samples-per-shard", 20, "--workers", 2)


@pytest.fixture(scope="module")
def plan(source_folder: Path) -> Plan:
    return plan_source(source_folder)


def make_missing_shards(plan: Plan, source: Path, out: LocalStore) -> int:
    """Do as a run does, less Ray; returns how many shards there were to make."""
    shards = list(shards_to_make(plan, load_records(out, plan)))
    for shard in shards:
        convert_shard(shard_task(plan, shard), LocalStore(source), out)
    return len(shards)


@pytest.fixture
def out(plan: Plan, source_folder: Path, tmp_path: Path) -> LocalStore:
    """A set whose shards are all made, but which is not finished."""
    store = LocalStore(tmp_path / "out")
    assert not claim(store, plan)
    assert make_missing_shards(plan, source_folder, store) == len(plan.shards)
    return store


def part_of(plan: Plan, shard: int) -> str:
    return index_part_file(plan.shards[shard].cell, plan.shards[shard].number)


def test_a_missing_part_is_found_when_the_run_is_continued(
    plan: Plan,
    out: LocalStore,
    source_folder: Path,
    set_folder: Path,
    tmp_path: Path,
    shared_ray: tuple[str, str],
) -> None:
    out.delete(part_of(plan, 1))
    result = run_command("convert", source_folder, out.url, *OPTIONS, *shared_ray)
    assert result.returncode == 0, result.stderr
    assert f"continuing: {len(plan.shards) - 1} of {len(plan.shards)} shards are done" in result.stderr
    assert digests(tmp_path / "out") == digests(set_folder)


def cut(out: LocalStore, part: str) -> None:
    out.put(part, out.read_whole(part)[:-100])


def flip_a_bit(out: LocalStore, part: str) -> None:
    data = bytearray(out.read_whole(part))
    data[len(data) // 2] ^= 1  # of a value: Parquet itself would not notice
    out.put(part, bytes(data))


def test_a_part_that_is_not_the_shards_rows_is_not_believed(plan: Plan, out: LocalStore) -> None:
    """Whatever digest its record has: a record in somebody else's folder may say anything."""
    part, other = part_of(plan, 2), part_of(plan, 1)
    columns = io.BytesIO()
    pq.write_table(pa.table({"key": ["a"]}), columns)
    shard = plan.shards[2]
    for data in (b"", b"PAR1" * 3, columns.getvalue(), out.read_whole(part)[:-100], out.read_whole(other) * 2):
        records = load_records(out, plan)
        record = records[shard.cell, shard.number]
        out.put(part, data)
        records[shard.cell, shard.number] = msgspec.structs.replace(
            record, index_sha256=hashlib.sha256(data).hexdigest()
        )
        with pytest.raises(DamagedPartError, match=f"{part} is damaged"):
            finish(out, plan, records)
        out.put(record_file(shard.cell, shard.number), encode_record(record))


@pytest.mark.parametrize("damage", [LocalStore.delete, cut, flip_a_bit])
def test_a_damaged_part_is_named_and_its_shard_made_again(
    plan: Plan, out: LocalStore, source_folder: Path, set_folder: Path, tmp_path: Path, damage: Callable[..., None]
) -> None:
    records = load_records(out, plan)
    damage(out, part_of(plan, 2))
    with pytest.raises(DamagedPartError, match=f"{part_of(plan, 2)} is damaged: the same command"):
        finish(out, plan, records)
    assert not (tmp_path / "out" / "dataset.json").exists()
    assert make_missing_shards(plan, source_folder, out) == 1
    finish(out, plan, load_records(out, plan))
    assert digests(tmp_path / "out") == digests(set_folder)


def test_the_command_line_names_the_part_and_continues(
    plan: Plan,
    out: LocalStore,
    source_folder: Path,
    set_folder: Path,
    tmp_path: Path,
    shared_ray: tuple[str, str],
) -> None:
    cut(out, part_of(plan, 0))
    result = run_command("convert", source_folder, out.url, *OPTIONS, *shared_ray)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"error: {out.url}/{part_of(plan, 0)} is damaged" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / record_file(plan.shards[0].cell, plan.shards[0].number)).exists()
    result = run_command("convert", source_folder, out.url, *OPTIONS, *shared_ray)
    assert result.returncode == 0, result.stderr
    assert digests(tmp_path / "out") == digests(set_folder)


def test_rejects_that_do_not_account_for_what_was_lost_are_refused(plan: Plan, out: LocalStore, tmp_path: Path) -> None:
    records = load_records(out, plan)
    shard, record = next(iter(records.items()))
    reject = Reject(RejectReason.IMAGE_DAMAGED, "Images_2.zip:x.jpg", "x", None, 2, "CRC-32 1, not 2")
    records[shard] = msgspec.structs.replace(record, rejects=[*record.rejects, reject])
    with pytest.raises(SpecError, match="account members: 0 rejected, but 2 by the rejects"):
        finish(out, plan, records)
    assert not (tmp_path / "out" / "dataset.json").exists()


class Remote(LocalStore):
    """Reads several files at once."""

    reads_at_once = 8


def test_parts_that_are_read_ahead_give_the_same_bytes(
    plan: Plan, out: LocalStore, set_folder: Path, tmp_path: Path
) -> None:
    finish(Remote(out.url), plan, load_records(out, plan))
    assert digests(tmp_path / "out") == digests(set_folder)


class BreakingOff(LocalStore):
    """Loses the answer to the first write of each file, as a server may to the request that begins an upload."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.begun: set[str] = set()

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[BinaryIO]:
        with super().open_write(path) as file:
            if path.endswith(".parquet") and path not in self.begun:
                self.begun.add(path)
                raise ConnectionAbortedError("the answer broke off")
            yield file


def test_an_upload_that_does_not_begin_is_begun_once_more(
    plan: Plan, out: LocalStore, set_folder: Path, tmp_path: Path
) -> None:
    finish(BreakingOff(out.url), plan, load_records(out, plan))
    assert digests(tmp_path / "out") == digests(set_folder)
