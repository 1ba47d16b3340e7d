import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.shards import spool
from pipeline.shards.convert import ShardTask, convert_shard
from pipeline.shards.record import index_part_file, record_file
from pipeline.shards.tasks import shard_task
from shards_spec.rejects import RejectReason, decode_rejects
from shards_spec.storage import LocalStore
from shards_spec.verify import verify
from tests.support.bombs import many_scans, png, second_frame_header
from tests.support.sets import make_set, plan_source
from tests.support.source import frame_image, mini_source


@pytest.fixture(scope="module")
def tasks(source_folder: Path) -> list[ShardTask]:
    plan = plan_source(source_folder)
    return [shard_task(plan, shard) for shard in plan.shards]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_shard_holds_its_frames_in_the_order_of_the_plan(
    tasks: list[ShardTask], source_folder: Path, tmp_path: Path
) -> None:
    task = tasks[-1]
    record = convert_shard(task, LocalStore(source_folder), LocalStore(tmp_path))
    with tarfile.open(tmp_path / task.cell / f"{task.cell}-{task.number:06d}.tar") as tar:
        names = tar.getnames()
        sidecars = [json.load(tar.extractfile(name)) for name in names[1::2]]  # type: ignore[arg-type]
    frames = task.rows.take(np.argsort(task.places)).to_pylist()
    expected = [f"{frame['name']}_p{person}" for frame in frames for person in frame["person_ids"]]
    assert names == [key + extension for key in expected for extension in (".jpg", ".json")]
    assert [f"{sidecar['frame']}_p{sidecar['person_id']}" for sidecar in sidecars] == expected
    assert (record.samples, record.units) == (len(expected), task.rows.num_rows)
    rows = pq.read_table(tmp_path / index_part_file(task.cell, task.number))
    assert rows["key"].to_pylist() == expected
    data = (tmp_path / task.cell / f"{task.cell}-{task.number:06d}.tar").read_bytes()
    for row in rows.to_pylist():
        image = data[row["jpg_offset"] : row["jpg_offset"] + row["jpg_size"]]
        assert image.startswith(b"\xff\xd8")
        assert image.endswith(b"\xff\xd9")


def test_what_was_read_is_recorded(tasks: list[ShardTask], source_folder: Path, tmp_path: Path) -> None:
    reads = []

    class Counting(LocalStore):
        def read(self, path: str, start: int, stop: int) -> bytes:
            reads.append(stop - start)
            return super().read(path, start, stop)

    record = convert_shard(tasks[-1], Counting(source_folder), LocalStore(tmp_path))
    assert (record.requests, record.bytes_read) == (len(reads), sum(reads))
    assert record.bytes_used == sum(tasks[-1].rows["compressed_size"].to_pylist())


def test_the_same_task_gives_the_same_bytes(tasks: list[ShardTask], source_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        convert_shard(tasks[0], LocalStore(source_folder), LocalStore(tmp_path / name))
    a, b = files(tmp_path / "a"), files(tmp_path / "b")
    record = record_file(tasks[0].cell, tasks[0].number)
    assert len(a) == 3
    assert {name for name in a if a[name] != b[name]} <= {record}  # which says how long it took


def test_crops_beyond_memory_go_through_a_file(
    tasks: list[ShardTask], source_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_shard(tasks[0], LocalStore(source_folder), LocalStore(tmp_path / "memory"))
    monkeypatch.setattr(spool, "SPOOL_BYTES", 1000)
    monkeypatch.setattr(spool, "_idle", [])
    convert_shard(tasks[0], LocalStore(source_folder), LocalStore(tmp_path / "file"))
    tar = f"{tasks[0].cell}/{tasks[0].cell}-{tasks[0].number:06d}.tar"
    assert files(tmp_path / "memory")[tar] == files(tmp_path / "file")[tar]


def test_a_shard_without_samples_has_no_tar(tasks: list[ShardTask], source_folder: Path, tmp_path: Path) -> None:
    frames = tasks[0].rows
    wrong = frames.set_column(
        frames.schema.get_field_index("crc32"),
        frames.schema.field("crc32"),
        pa.array([1] * frames.num_rows, pa.uint32()),
    )
    record = convert_shard(replace(tasks[0], rows=wrong), LocalStore(source_folder), LocalStore(tmp_path))
    assert (record.samples, record.units, record.bytes) == (0, 0, 0)
    assert [reject.reason for reject in record.rejects] == [RejectReason.IMAGE_DAMAGED] * frames.num_rows
    assert record.rejected_units == frames.num_rows
    assert list(files(tmp_path)) == [record_file(tasks[0].cell, tasks[0].number)]


class FailingStore(LocalStore):
    """Fails after some bytes were written, as a full disk does."""

    def open_write(self, path: str) -> Any:
        context = super().open_write(path)

        class Failing:
            def __enter__(self) -> Any:
                file = context.__enter__()
                buffer = io.BytesIO()

                class Writer:
                    def write(self, data: bytes) -> None:
                        buffer.write(data)
                        file.write(data)
                        if buffer.tell() > 20_000:
                            raise OSError(28, "No space left on device")

                return Writer()

            def __exit__(self, *error: object) -> Any:
                return context.__exit__(*error)  # type: ignore[arg-type]

        return Failing()


def test_a_failing_write_leaves_nothing(tasks: list[ShardTask], source_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        convert_shard(tasks[0], LocalStore(source_folder), FailingStore(tmp_path))
    assert files(tmp_path) == {}


def test_a_read_error_is_raised_and_is_no_reject(tasks: list[ShardTask], source_folder: Path, tmp_path: Path) -> None:
    class Unreadable(LocalStore):
        def read(self, path: str, start: int, stop: int) -> bytes:  # noqa: ARG002
            raise OSError(5, "Input/output error", path)

    with pytest.raises(OSError, match="Input/output error"):
        convert_shard(tasks[0], Unreadable(source_folder), LocalStore(tmp_path))
    assert files(tmp_path) == {}


def test_frames_that_no_decoder_may_touch_are_rejects_and_the_rest_is_converted(tmp_path: Path) -> None:
    source = mini_source(groups=4)
    hostile = {
        png((14000, 14000), b"\0"): RejectReason.IMAGE_TOO_LARGE,
        second_frame_header(frame_image(1, progressive=True), (65000, 65000)): RejectReason.IMAGE_UNDECODABLE,
        many_scans(20_000, (320, 180)): RejectReason.IMAGE_TOO_LARGE,
    }
    members = source.archives["Images_2.zip"]
    for name, content in zip(list(members)[::2], hostile, strict=False):
        members[name] = content
    manifest = make_set(source.write(tmp_path / "source"), tmp_path / "set")
    rejects = decode_rejects((tmp_path / "set" / "rejects.jsonl").read_bytes())
    assert sorted(reject.reason for reject in rejects) == sorted(hostile.values())
    assert manifest.totals.units == 16 - len(hostile)
    assert verify(str(tmp_path / "set"), workers=1).faults == []
