"""What a run takes over from an earlier one: nothing that is not so."""

import dataclasses
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cluster.session import RaySession
from pipeline.options import Options, option_name, parse_size, spell_value
from pipeline.plan import Plan
from pipeline.run.driver import carry_out
from pipeline.run.finish import finish
from pipeline.run.resume import claim, load_records
from pipeline.shards.convert import convert_shard
from pipeline.shards.record import ShardRecord, decode_record, encode_record, record_file
from pipeline.shards.tasks import shard_task, shards_to_make
from shards_spec import rejects
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.storage import LocalStore
from tests.support.options import city1m_options
from tests.support.processes import run_command
from tests.support.sets import digests, plan_source
from tests.support.source import MiniSource, label_line, mini_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source with a frame that cannot be decoded and boxes that are clamped or lie outside: records have losses."""
    source = mini_source()
    frames = source.archives["Images_3.zip"]
    _, damaged, clamped, outside, *_ = sorted(frames)  # the first group's, all but the query frame
    frames[damaged] = b"not a JPEG"
    spoil(source, clamped, (-5.0, 10.0, 30.0, 60.0))
    spoil(source, outside, (900.0, 10.0, 30.0, 60.0))
    return source.write(tmp_path_factory.mktemp("source"))


def spoil(source: MiniSource, member: str, box: tuple[float, float, float, float]) -> None:
    """Give the first member of a frame another box, in all label files."""
    frame = Path(member).stem
    for lines in source.labels.values():
        for number, line in enumerate(lines):
            if line.startswith(f"{frame}.jpg "):
                others = line.split(" ")[2:]
                lines[number] = " ".join([label_line(frame, [(0, box, 1.0)]), *others])


@pytest.fixture(scope="module")
def plan(source: Path) -> Plan:
    return plan_source(source)


@pytest.fixture(scope="module")
def expected(plan: Plan, source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("expected")
    complete(plan, source, LocalStore(folder))
    return digests(folder)


def complete(plan: Plan, source: Path, out: LocalStore) -> int:
    """Do as ``convert`` does, less Ray; returns how many shards were made."""
    assert not claim(out, plan)
    records = load_records(out, plan)
    missing = list(shards_to_make(plan, records))
    for shard in missing:
        record = convert_shard(shard_task(plan, shard), LocalStore(source), out)
        records[record.cell, record.number] = record
    finish(out, plan, records)
    return len(missing)


@pytest.fixture
def folder(plan: Plan, source: Path, tmp_path: Path) -> Path:
    """A set that lacks its manifest alone."""
    out = LocalStore(tmp_path / "out")
    assert complete(plan, source, out) == len(plan.shards)
    out.delete("dataset.json")
    return tmp_path / "out"


def records_of(folder: Path) -> Iterator[tuple[Path, ShardRecord]]:
    for path in sorted((folder / ".work" / "records").iterdir()):
        record = decode_record(path.read_bytes())
        assert record is not None
        yield path, record


def lossy(folder: Path) -> tuple[Path, ShardRecord]:
    """The record of the shard that lost a whole frame and a member of another."""
    return next((path, record) for path, record in records_of(folder) if record.rejects and record.notes)


def test_sound_records_are_taken_over(plan: Plan, source: Path, folder: Path, expected: dict[str, str]) -> None:
    _, record = lossy(folder)
    assert (record.rejected_units, record.rejected_samples) == (1, 4)
    assert sorted(reject.reason for reject in record.rejects) == [
        RejectReason.BOX_OUTSIDE,
        RejectReason.IMAGE_UNDECODABLE,
    ]
    assert complete(plan, source, LocalStore(folder)) == 0
    assert digests(folder) == expected


def test_a_run_that_has_lost_too_much_is_neither_continued_nor_finished(
    plan: Plan, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "MOST_REJECTS", 1)
    with pytest.raises(UsageError, match="convert into an empty folder"):
        carry_out(plan, LocalStore(source), str(folder), lambda _: None, RaySession(1, None))
    assert not (folder / "dataset.json").exists()


@pytest.mark.parametrize("name", ["samples", "units", "bytes", "rejected_units", "rejected_samples", "number"])
@pytest.mark.parametrize("change", [-1, 1, 10**6])
def test_a_wrong_count_has_the_shard_made_again(
    plan: Plan, source: Path, folder: Path, expected: dict[str, str], name: str, change: int
) -> None:
    path, record = lossy(folder)
    altered = msgspec.structs.replace(record, **{name: max(0, getattr(record, name) + change)})
    path.write_bytes(encode_record(altered))  # with its digest made anew: the plan alone contradicts it
    assert complete(plan, source, LocalStore(folder)) == (1 if altered != record else 0)
    assert digests(folder) == expected


def shifted(record: ShardRecord) -> ShardRecord:
    """Samples and rejected members whose sum is right."""
    return msgspec.structs.replace(record, samples=record.samples - 1, rejected_samples=record.rejected_samples + 1)


def without_rejects(record: ShardRecord) -> ShardRecord:
    return msgspec.structs.replace(record, rejects=[])


def with_a_reject_twice(record: ShardRecord) -> ShardRecord:
    return msgspec.structs.replace(record, rejects=[*record.rejects, record.rejects[0]])


def with_a_strange_reject(record: ShardRecord) -> ShardRecord:
    strange = Reject(RejectReason.IMAGE_DAMAGED, "Images_9.zip:x", "0000099_pCount2_cam1_0000001_day", None, 2, "")
    return msgspec.structs.replace(record, rejects=[*record.rejects, strange])


def with_a_reject_of_more(record: ShardRecord) -> ShardRecord:
    """The members of a frame and one more, which the counts admit."""
    frame = next(reject for reject in record.rejects if reject.person_id is None)
    rest = [reject for reject in record.rejects if reject.person_id is None and reject is not frame]
    more = msgspec.structs.replace(frame, samples=frame.samples + 1)
    return msgspec.structs.replace(record, rejects=[*rest, more])


def without_a_digest(record: ShardRecord) -> ShardRecord:
    return msgspec.structs.replace(record, index_sha256="")


@pytest.mark.parametrize(
    "alter",
    [shifted, without_rejects, with_a_reject_twice, with_a_strange_reject, with_a_reject_of_more, without_a_digest],
)
def test_accounts_that_contradict_each_other_have_the_shard_made_again(
    plan: Plan, source: Path, folder: Path, expected: dict[str, str], alter: Callable[[ShardRecord], ShardRecord]
) -> None:
    path, record = lossy(folder)
    path.write_bytes(encode_record(alter(record)))
    assert complete(plan, source, LocalStore(folder)) == 1
    assert digests(folder) == expected


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from numbers(one, (*path, key))
    if isinstance(value, int | float):
        yield path


def test_any_number_that_changes_in_its_file_has_the_shard_made_again(
    plan: Plan, source: Path, folder: Path, expected: dict[str, str]
) -> None:
    path, _ = lossy(folder)
    text = path.read_text()
    places = list(numbers(json.loads(text)))
    assert {place[1] for place in places} >= {"samples", "units", "bytes", "notes", "rejects", "requests", "seconds"}
    for place in places:
        document = inner = json.loads(text)
        for key in place[:-1]:
            inner = inner[key]
        for value in (inner[place[-1]] + 1, -1, 10**400, 2**63, 1e308, None):
            inner[place[-1]] = value
            assert decode_record(json.dumps(document, separators=(",", ":")).encode()) is None, (place, value)
    document = json.loads(text)
    document["record"]["notes"][Note.BOX_CLAMPED]["count"] += 1  # what only the digest can tell
    path.write_text(json.dumps(document, separators=(",", ":")))
    assert complete(plan, source, LocalStore(folder)) == 1
    assert digests(folder) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"record":{},"sha256":""}',
        random.Random(0).randbytes(100),
        b"[" * 1000,
        b"0" * 10_000,
    ],
)
def test_what_is_no_record_counts_as_none(data: bytes) -> None:
    assert decode_record(data) is None


def sealed(record: dict[str, Any]) -> bytes:
    """A record's file whose digest is right, whatever it holds."""
    data = json.dumps(record, separators=(",", ":"))
    return f'{{"record":{data},"sha256":"{hashlib.sha256(data.encode()).hexdigest()}"}}'.encode()


@pytest.mark.parametrize("field", ["samples", "bytes", "requests", "number"])
@pytest.mark.parametrize("value", [-1, 10**400, 2**63, 2**53 + 1, 1.5, True, "1", None])
def test_counts_are_whole_numbers_within_bounds(folder: Path, field: str, value: object) -> None:
    _, record = lossy(folder)
    fields = msgspec.to_builtins(record)
    assert decode_record(sealed(fields)) == record
    assert decode_record(sealed(fields | {field: value})) is None


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "0" * 64 + "\n", "g" * 64, "F" * 64, "\n", None])
def test_digests_are_well_formed(folder: Path, digest: object) -> None:
    _, record = lossy(folder)
    fields = msgspec.to_builtins(record)
    assert decode_record(sealed(fields | {"sha256": digest})) is None
    assert decode_record(sealed(fields | {"sha256": ""})) is not None  # of no tar


def test_another_shards_record_under_a_shards_name_counts_as_none(
    plan: Plan, source: Path, folder: Path, expected: dict[str, str]
) -> None:
    (first, _), (second, record), *_ = records_of(folder)
    first.write_bytes(second.read_bytes())
    assert record_file(record.cell, record.number) == second.relative_to(folder).as_posix()
    assert complete(plan, source, LocalStore(folder)) == 1
    assert digests(folder) == expected


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (city1m_options(size=(256, 128)), city1m_options(), "conversion: --size was 256x128, now not given. "),
        (city1m_options(), city1m_options(size=(256, 128)), "conversion: --size was not given, now 256x128. "),
        (
            city1m_options(samples_per_shard=7, crop="reencode"),
            city1m_options(samples_per_shard=9),
            "conversion: --crop was reencode, now lossless; --samples-per-shard was 7, now 9. ",
        ),
        (
            city1m_options(box_order="xywh"),
            city1m_options(box_order="xyhw"),
            "conversion: --box-order was xywh, now xyhw; box order was decided as xywh, now as xyhw. ",
        ),
    ],
)
def test_another_conversion_is_refused_in_the_words_of_the_options(
    source_folder: Path, tmp_path: Path, before: Options, after: Options, message: str
) -> None:
    out = LocalStore(tmp_path / "out")
    claim(out, plan_source(source_folder, before))
    with pytest.raises(UsageError, match=re.escape(message)):
        claim(out, plan_source(source_folder, after))


def test_another_version_and_another_source_are_named(source: Path, source_folder: Path, tmp_path: Path) -> None:
    out = LocalStore(tmp_path / "out")
    plan = plan_source(source)
    claim(out, dataclasses.replace(plan, versions={"pyarrow": "1"}, digest="0" * 64))
    with pytest.raises(UsageError, match=r"machine was not recorded, now \w+; .*pyarrow was 1, now \d"):
        claim(out, plan)
    with pytest.raises(UsageError, match=r"source file Images_3.zip has changed"):
        claim(out, plan_source(source_folder))


def test_options_are_spelled_as_the_command_line_takes_them() -> None:
    text = run_command("convert", "--help").stdout
    for field in city1m_options().output_bearing():
        assert re.search(rf"{option_name(field)}\b", text)
    assert spell_value(list(parse_size("256x128"))) == "256x128"
