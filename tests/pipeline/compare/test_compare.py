"""A set that agrees with itself in everything, and yet is not what its source gives, is found out."""

import io
import math
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from pipeline.compare import compare_set, survey_again
from pipeline.crop.bitstream import crop_jpeg
from pipeline.options import Options
from shards_spec.errors import SpecError
from shards_spec.manifest import Manifest
from shards_spec.manifest_read import read_manifest
from shards_spec.rejects import Reject, RejectReason, decode_rejects, encode_rejects
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.storage import LocalStore
from shards_spec.variants.city1m import CITY1M, Sidecar
from shards_spec.verify import Fault, verify
from tests.support.altered import Files, alter_manifest, alter_shard
from tests.support.options import city1m_options
from tests.support.processes import run_command
from tests.support.sets import edit_manifest, make_set
from tests.support.source import Member, frame_image, frame_name, label_line, mini_source, write_zip

SHARD = "p1-train_p2-train/p1-train_p2-train-000001.tar"


@pytest.fixture
def out(set_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(set_folder, tmp_path / "set", ignore=shutil.ignore_patterns(".work")))


def compare(out: Path, source: Path) -> list[Fault]:
    """Compare a set that agrees with itself."""
    verdict = verify(str(out), 1)
    assert verdict.faults == []
    return compare_set(str(out), verdict.manifest, survey_again(verdict.manifest, str(source)), str(source), 1)


def with_sidecar(change: Callable[[Sidecar], dict[str, Any]]) -> Callable[[Files], Files]:
    """Change fields of the first sample's sidecar."""

    def apply(files: Files) -> Files:
        name, data = files[1]
        sidecar = decode_sidecar(data, CITY1M)
        files[1] = (name, encode_sidecar(msgspec.structs.replace(sidecar, **change(sidecar))))
        return files

    return apply


def test_a_sound_set_is_what_its_source_gives(set_folder: Path, source_folder: Path) -> None:
    seen: list[int] = []
    manifest = read_manifest(LocalStore(set_folder))
    plan = survey_again(manifest, str(source_folder))
    assert compare_set(str(set_folder), manifest, plan, str(source_folder), 2, seen.append) == []
    assert sum(seen) == manifest.totals.samples


@pytest.mark.parametrize(
    "options",
    [
        city1m_options(samples_per_shard=60, margin=9),
        city1m_options(samples_per_shard=60, size=(64, 32)),
        city1m_options(samples_per_shard=60, crop="reencode", margin=3, quality=60),
        city1m_options(samples_per_shard=60, shuffle="units", seed=5, identity_scope="global"),
    ],
    ids=["margin", "size", "reencode", "global ids"],
)
def test_frames_of_all_kinds_and_all_ways_of_cutting(tmp_path: Path, options: Options) -> None:
    source = mini_source(groups=6)
    entries = source.archives["Images_2.zip"]
    names = sorted(entries)
    entries[names[0]] = frame_image(1, progressive=True)
    entries[names[1]] = as_png(entries[names[1]])
    entries[names[2]] = frame_image(4, subsampling="4:4:4")
    entries[names[3]] = frame_image(5)[:2000]  # every box lies below: the frame is rejected
    entries[names[4]] = gray(entries[names[4]])
    frame = frame_name(90, 2)  # its first box reaches beyond the frame
    entries[f"Images_2/{frame}.jpg"] = frame_image(6)
    boxes: list[Member] = [(0, (-5.5, -3, 30, 40), 1.0), (1, (90.5, 20, 30, 40.25), 2.0)]
    source.labels["train_part1.txt"].append(label_line(frame, boxes))
    folder = source.write(tmp_path / "source")
    manifest = make_set(folder, tmp_path / "set", options)
    assert manifest.rejects
    assert compare(tmp_path / "set", folder) == []


def as_png(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def gray(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("L").save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_frame_that_breaks_off_below_its_boxes_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    source = mini_source(groups=1, frames_a_group=1)
    (name,) = source.archives["Images_3.zip"]
    data = source.archives["Images_3.zip"][name]
    stem = name.partition("/")[2].removesuffix(".jpg")
    line = label_line(stem, [(0, (10, 5, 40, 20), 1.0), (1, (100, 2, 40, 30), 1.0), (2, (200, 0, 40, 30), 1.0)])
    source.labels = {"train_part1.txt": [line]}
    source.archives = {"Images_3.zip": {name: data[: len(data) * 2 // 3]}}
    folder = source.write(tmp_path / "source")
    assert make_set(folder, tmp_path / "set").totals.samples == 3
    assert compare(tmp_path / "set", folder) == []


def test_another_persons_crop(out: Path, source_folder: Path) -> None:
    def swap(files: Files) -> Files:
        first, second = decode_sidecar(files[1][1], CITY1M), decode_sidecar(files[3][1], CITY1M)
        shown = {"crop": first.crop, "image_size": first.image_size, "roi": first.roi, "box": first.box}
        other = encode_sidecar(msgspec.structs.replace(second, **shown))
        return [*files[:2], (files[2][0], files[0][1]), (files[3][0], other), *files[4:]]

    alter_shard(out, SHARD, swap)
    assert_fault(compare(out, source_folder), r"_p1: its sidecar says box \[.+\], but the source \[")


def test_another_persons_pixels_under_the_right_sidecar(out: Path, source_folder: Path) -> None:
    def flip(files: Files) -> Files:
        with Image.open(io.BytesIO(files[0][1])) as image:
            buffer = io.BytesIO()
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(buffer, "JPEG", quality=95)
        return [(files[0][0], buffer.getvalue()), *files[1:]]

    alter_shard(out, SHARD, flip)
    assert_fault(compare(out, source_folder), r"_p0: its pixels are not the frame's: [\d,]+ of [\d,]+ differ")


def test_one_pixel_of_one_level(out: Path, source_folder: Path) -> None:
    """The last bit of a coefficient: whatever digest or eye would say."""

    def shift(files: Files) -> Files:
        with Image.open(io.BytesIO(files[0][1])) as image:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", qtables=image.quantization, subsampling="4:2:0")  # type: ignore[attr-defined]
        return [(files[0][0], buffer.getvalue()), *files[1:]]

    alter_shard(out, SHARD, shift)
    assert_fault(compare(out, source_folder), r"_p0: its pixels are not the frame's")


@pytest.mark.parametrize(
    "options", [{}, {"crop": "reencode"}, {"size": (64, 32)}], ids=["lossless", "reencode", "size"]
)
def test_a_crop_that_lies_eight_pixels_beside_its_place(tmp_path: Path, source_folder: Path, options: Any) -> None:
    out = tmp_path / "set"
    make_set(source_folder, out, city1m_options(samples_per_shard=20, **options))
    sidecar = Box()
    alter_shard(out, SHARD, sidecar.remember)
    data = frame_of(source_folder, sidecar.value)
    left, top, width, height = sidecar.value.crop
    left += 8 if left + width + 8 <= 320 else -8

    def replace(files: Files) -> Files:
        with Image.open(io.BytesIO(data)) as image:
            moved = image.crop((left, top, left + width, top + height))
            if "size" in options:
                moved = moved.resize((32, 64), Image.Resampling.BICUBIC)
            buffer = io.BytesIO()
            moved.save(buffer, "JPEG", quality=95)
        return [(files[0][0], buffer.getvalue()), *files[1:]]

    alter_shard(out, SHARD, replace)
    assert_fault(compare(out, source_folder), r"_p0: its pixels are not ")


class Box:
    """Remembers a sidecar."""

    value: Sidecar

    def remember(self, files: Files) -> Files:
        self.value = decode_sidecar(files[1][1], CITY1M)
        return files


def frame_of(source: Path, sidecar: Sidecar) -> bytes:
    for path in source.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(f"/{sidecar.frame}.jpg"):
                    return archive.read(name)
    raise FileNotFoundError(sidecar.frame)


def test_a_sample_that_is_gone_with_its_row_and_its_counts(out: Path, source_folder: Path) -> None:
    def remove(files: Files) -> Files:
        frame = decode_sidecar(files[1][1], CITY1M).frame
        texts = [(name, data) for name, data in files if name.startswith(frame)]
        rest = []
        for name, data in texts[2:]:
            if name.endswith(".json"):
                sidecar = decode_sidecar(data, CITY1M)
                data = encode_sidecar(msgspec.structs.replace(sidecar, members=sidecar.members - 1))  # noqa: PLW2901
            rest.append((name, data))
        return rest + files[len(texts) :]

    def count_without(manifest: Any) -> None:
        boxes, ids = (manifest["decisions"][name]["evidence"] for name in ("box_order", "identity_scope"))
        boxes |= {"boxes": boxes["boxes"] - 1, "odd_as_xyhw": boxes["odd_as_xyhw"] - 1}
        ids["members"] -= 1

    alter_shard(out, SHARD, remove)
    edit_manifest(out, count_without)
    faults = compare(out, source_folder)
    assert [fault.file for fault in faults[:-1]] == ["dataset.json"] * (len(faults) - 1)
    told = "\n".join(fault.what for fault in faults)
    assert "account members: says 119, but the source has 120" in told
    assert "its decision box_order is not the one that the source leads to" in told
    assert_fault(faults[-1:], r"_p0 is neither in the shard nor rejected, though the source has it")


def test_a_box_that_was_changed_by_less_than_a_pixel(out: Path, source_folder: Path) -> None:
    def move(sidecar: Sidecar) -> dict[str, Any]:
        x, y, width, height = sidecar.box
        last_pixel = math.ceil(y + height) - 1
        return {"box": (x, y, width, (last_pixel + y + height) / 2 - y)}

    alter_shard(out, SHARD, with_sidecar(move))
    assert_fault(compare(out, source_folder), r"_p0: its sidecar says box")


def test_a_depth_that_was_changed(out: Path, source_folder: Path) -> None:
    alter_shard(out, SHARD, with_sidecar(lambda sidecar: {"depth": sidecar.depth + 1}))
    assert_fault(compare(out, source_folder), r"_p0: its sidecar says depth")


def assert_fault(faults: list[Fault], what: str, file: str = SHARD) -> None:
    assert [fault.file for fault in faults] == [file]
    assert re.search(what, faults[0].what), faults


def test_an_archive_that_changed_since(out: Path, source_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(source_folder, tmp_path / "source"))
    with zipfile.ZipFile(source / "Images_3.zip") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    write_zip(source / "Images_3.zip", {name: frame_image(n) for n, name in enumerate(entries)})
    write_zip(source / "Images_4.zip", {"Images_4/readme.txt": b"new"})
    (source / "query_part2.txt").unlink()
    with (source / "train_part1.txt").open("a") as file:
        file.write("\n")
    told = "\n".join(fault.what for fault in compare(out, source))
    assert "archive Images_3.zip is not what the set was made from: it has changed since" in told
    assert "archive Images_4.zip is in the source, but the set was not made from it" in told
    assert "label file query_part2.txt, which the set was made from, is not in the source" in told
    assert "label file train_part1.txt is not what the set was made from" in told


def test_a_frame_whose_bytes_are_damaged_by_now(out: Path, source_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(source_folder, tmp_path / "source"))
    data = bytearray((source / "Images_3.zip").read_bytes())
    data[len(data) // 3] ^= 1
    (source / "Images_3.zip").write_bytes(data)
    (fault,) = compare(out, source)
    assert re.search(r"Images_3\.zip:Images_3/\S+, which it was made from: .*CRC-32", fault.what)


def test_a_frame_that_was_rejected_without_a_reason(out: Path, source_folder: Path) -> None:
    hidden = Box()

    def remove(files: Files) -> Files:
        hidden.remember(files)
        return [file for file in files if not file[0].startswith(hidden.value.frame)]

    manifest = read_manifest(LocalStore(out))
    alter_shard(out, SHARD, remove)
    frame, lost = hidden.value.frame, hidden.value.members
    where = f"Images_{lost}.zip:Images_{lost}/{frame}.jpg"
    reject = Reject(RejectReason.IMAGE_UNDECODABLE, where, frame, None, lost, "broken")
    (out / "rejects.jsonl").write_bytes(encode_rejects([reject]))
    alter_manifest(out, rejected_units=manifest.totals.accounts["frames"].rejected + 1)
    assert_fault(compare(out, source_folder), f"{frame}: the rejects have image_undecodable of it, but the source none")


def test_rejects_of_the_labels_that_are_missing_or_strange(tmp_path: Path) -> None:
    source = mini_source(groups=3)
    source.labels["train_part1.txt"] += ["no label", ""]
    folder, out = source.write(tmp_path / "source"), tmp_path / "set"
    make_set(folder, out)
    (reject,) = decode_rejects((out / "rejects.jsonl").read_bytes())
    strange = msgspec.structs.replace(reject, where="train_part1.txt:7")
    (out / "rejects.jsonl").write_bytes(encode_rejects([strange]))
    alter_manifest(out)
    edit_manifest(out, lambda manifest: manifest["notes"]["blank_line"].update(examples=["train_part1.txt:1"]))
    example, lacks, given = (fault.what for fault in compare(out, folder))
    assert example == "its examples of note blank_line are not those that the source gives"
    assert lacks.startswith(f"lacks {reject.where}: line_fields: ")
    assert given == "train_part1.txt:7: line_fields: the source gives no such reject"


def test_options_that_no_conversion_has(out: Path, source_folder: Path) -> None:
    manifest: Manifest = read_manifest(LocalStore(out))
    for options in ({**manifest.options, "margin": -1}, {**manifest.options, "frills": 1}, {"margin": 1}, {}):
        with pytest.raises(SpecError, match="the manifest's options are not those"):
            survey_again(msgspec.structs.replace(manifest, options=options), str(source_folder))


def test_the_command(out: Path, source_folder: Path, tmp_path: Path) -> None:
    result = run_command("verify", out, "--source", source_folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"every sample is as {source_folder} has it" in result.stdout
    labels = tmp_path / "labels"
    labels.mkdir()
    source = Path(shutil.copytree(source_folder, tmp_path / "source"))
    for file in source.glob("*.txt"):
        file.rename(labels / file.name)
    assert run_command("verify", out, "--source", source, "--labels", labels).returncode == 0
    assert run_command("verify", out, "--source", source).returncode == 2
    assert run_command("verify", out, "--labels", labels).returncode == 2
    (labels / "train_part1.txt").write_text((labels / "train_part1.txt").read_text().replace(",", ",0", 1))
    result = run_command("verify", out, "--source", source, "--labels", labels)
    assert result.returncode == 1
    assert "fault: dataset.json: label file train_part1.txt is not what the set was made from" in result.stdout


def test_a_lossless_crop_of_another_place_of_the_frame(out: Path, source_folder: Path) -> None:
    sidecar = Box()
    alter_shard(out, SHARD, sidecar.remember)
    left, top, width, height = sidecar.value.crop
    moved = (left - 16 if left >= 16 else left + 16, top, width, height)
    (image,) = crop_jpeg(frame_of(source_folder, sidecar.value), [moved])
    alter_shard(out, SHARD, lambda files: [(files[0][0], image), *files[1:]])
    assert_fault(compare(out, source_folder), "its pixels are not the frame's")
