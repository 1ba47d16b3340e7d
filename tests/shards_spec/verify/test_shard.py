"""Each way in which a shard can be wrong is found, also where all digests are right."""

import hashlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shards_spec.manifest import ShardFile
from shards_spec.manifest_read import decode_manifest
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.tar import TarWriter, read_tar
from shards_spec.variants.city1m import CITY1M, Sidecar
from shards_spec.verify.shard import ShardCheck, check_shard
from tests.support.bombs import many_scans, second_frame_header
from tests.support.sets import sample_rules

CELL = "p1-train_p2-train"
Members = list[tuple[str, bytes]]


@pytest.fixture
def out(set_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(set_folder, tmp_path / "set"))


def shard_check(out: Path, number: int = 1) -> ShardCheck:
    manifest = decode_manifest((out / "dataset.json").read_bytes())
    cell = manifest.cells[CELL]
    assert len(cell.shards) > 1
    return ShardCheck(
        url=str(out),
        shard=cell.shards[number],
        number=number,
        rules=sample_rules({"p1": ["train"], "p2": ["train"]}),
        index_file=cell.index.file,
        row_group=number,
        row_groups=len(cell.shards),
    )


def rewritten(out: Path, change: Callable[[Members], Members]) -> ShardCheck:
    """The check of a shard whose members were changed and whose digest and size are right for what it is now."""
    check = shard_check(out)
    path = out / check.shard.file
    members = [(member.name, member.data) for member in read_tar(io.BytesIO(path.read_bytes()))]
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    for name, data in change(members):
        tar.add(name, data)
    tar.finish()
    path.write_bytes(buffer.getvalue())
    shard = ShardFile(
        check.shard.file,
        check.shard.samples,
        check.shard.units,
        tar.size,
        hashlib.sha256(buffer.getvalue()).hexdigest(),
    )
    return ShardCheck(
        url=check.url,
        shard=shard,
        number=check.number,
        rules=check.rules,
        index_file=check.index_file,
        row_group=check.row_group,
        row_groups=check.row_groups,
    )


def with_sidecar(change: Callable[[Sidecar], dict[str, object]], which: int = 0) -> Callable[[Members], Members]:
    """Changes fields of one sidecar."""

    def apply(members: Members) -> Members:
        name, data = members[2 * which + 1]
        sidecar = decode_sidecar(data, CITY1M)
        members[2 * which + 1] = (name, encode_sidecar(msgspec.structs.replace(sidecar, **change(sidecar))))
        return members

    return apply


def fault_of(check: ShardCheck) -> str:
    fault = check_shard(check)
    assert fault is not None
    assert fault.file == check.shard.file
    return fault.what


def test_a_sound_shard_has_no_fault(out: Path) -> None:
    assert check_shard(shard_check(out)) is None
    assert check_shard(rewritten(out, lambda members: members)) is None


def test_a_missing_shard(out: Path) -> None:
    check = shard_check(out)
    (out / check.shard.file).unlink()
    assert fault_of(check) == "is missing"


def test_a_cut_shard(out: Path) -> None:
    check = shard_check(out)
    data = (out / check.shard.file).read_bytes()
    (out / check.shard.file).write_bytes(data[: len(data) // 1024 * 512])
    assert "but the manifest says" in fault_of(check)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_changed_byte_anywhere(out: Path, place: float) -> None:
    check = shard_check(out)
    data = bytearray((out / check.shard.file).read_bytes())
    data[int(len(data) * place)] ^= 0x10
    (out / check.shard.file).write_bytes(data)
    fault_of(check)


def test_a_changed_byte_that_still_decodes_is_found_by_the_digest(out: Path) -> None:
    check = shard_check(out)
    data = bytearray((out / check.shard.file).read_bytes())
    app0 = data.index(b"JFIF") + 8  # the pixel density: no decoder looks at it
    data[app0] ^= 1
    (out / check.shard.file).write_bytes(data)
    assert "SHA-256" in fault_of(check)


def jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m[1:], "begins with its .jpg"),
        (lambda m: m[:-1], "the end follows"),
        (lambda m: [m[0], m[3], m[2], m[1], *m[4:]], "follows, not"),
        (lambda m: m[:-2], "its sidecars say"),
        (lambda m: [*m, *m[:2]], "has 1 crops|do not stand together"),
        (lambda m: [(m[0][0], m[0][1][:-40]), *m[1:]], "cannot be decoded"),
        (lambda m: [(m[0][0], jpeg(9, 9)), *m[1:]], "9x9 pixels"),
        (lambda m: [(m[0][0], b"GIF89a"), *m[1:]], "cannot be decoded"),
        (lambda m: [(m[0][0], many_scans(4000, (9, 9))), *m[1:]], "cannot be decoded: more than 500 scans"),
        (lambda m: [(m[0][0], second_frame_header(m[0][1], (65000, 65000))), *m[1:]], "cannot be decoded"),
        (lambda m: [m[0], (m[1][0], m[1][1].replace(b":", b": ", 1)), *m[2:]], "not in the spec's form"),
        (lambda m: [m[0], (m[1][0], b"{}"), *m[2:]], "missing required field"),
        (
            lambda m: [m[0], (m[1][0], m[1][1].replace(b'"lossless"', b'"source"')), *m[2:]],
            "Invalid enum value 'source'",
        ),
        (with_sidecar(lambda s: {"person_id": s.person_id + 1}), "identity|its key is"),
        (with_sidecar(lambda s: {"frame": s.frame + "x"}), "by its sidecar, its key is"),
        (with_sidecar(lambda _: {"splits": {"p1": ["query"], "p2": ["train"]}}), "splits"),
        (with_sidecar(lambda s: {"members": s.members + 1}), "members"),
        (with_sidecar(lambda s: {"camera": s.camera + 1}), "camera is"),
        (with_sidecar(lambda s: {"roi": (0, 0, s.image_size[0] + 1, 1)}), "roi"),
        (with_sidecar(lambda s: {"depth": s.depth + 0.5}), "the index says depth"),
        (with_sidecar(lambda s: {"box": (s.box[0], s.box[1], s.box[2], s.box[3] + 0.25)}), "the index says box_h"),
    ],
)
def test_what_digests_do_not_show(out: Path, change: Callable[[Members], Members], fault: str) -> None:
    assert re.search(fault, fault_of(rewritten(out, change)))


def test_frames_that_come_back(out: Path) -> None:
    def move_first_crop_to_the_end(members: Members) -> Members:
        return [*members[2:], *members[:2]]

    what = fault_of(rewritten(out, move_first_crop_to_the_end))
    assert "members" in what or "stand together" in what


def test_an_index_row_that_is_not_the_tars(out: Path) -> None:
    check = shard_check(out)
    index = pq.ParquetFile(out / check.index_file)
    groups = [index.read_row_group(group) for group in range(index.num_row_groups)]
    groups[1], groups[0] = groups[0], groups[1]
    index.close()
    with pq.ParquetWriter(out / check.index_file, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    assert "the index" in fault_of(check)
