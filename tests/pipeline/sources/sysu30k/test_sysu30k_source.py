"""SYSU-30k does what every kind of source does, and each trap of its demo ends where it should."""

import hashlib
import json
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline.archives.tar import survey
from pipeline.demo import make_demo
from pipeline.sources.sysu30k import SYSU30K
from shards_spec import rejects
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import LocalStore
from shards_spec.variants.sysu30k.bags import decode_bags, encode_bags
from shards_spec.verify import verify
from tests.pipeline.sources.source_suite import Converted, SourceSuite, read_traps
from tests.support.notes import note_counts
from tests.support.processes import (
    SEEDS,
    WAIT_SECONDS,
    descendants,
    finished_shards,
    kill,
    run_command,
    start_command,
    wait_until,
)
from tests.support.sets import convert_source, digests, edit_manifest

REASONS = {
    "empty image": RejectReason.IMAGE_UNDECODABLE,
    "text named JPEG": RejectReason.IMAGE_UNDECODABLE,
    "truncated JPEG": RejectReason.IMAGE_UNDECODABLE,
    "symbolic link": RejectReason.IMAGE_UNSUPPORTED,
    "hard link": RejectReason.IMAGE_UNSUPPORTED,
    "sparse file": RejectReason.IMAGE_UNSUPPORTED,
    "entry that comes twice": RejectReason.IMAGE_REPEATED,
    "listed and absent": RejectReason.IMAGE_MISSING,
}
NOTES = {
    "rotation in EXIF": Note.IMAGE_ORIENTED,
    "PNG named JPEG": Note.IMAGE_REENCODED,
    "present and unlisted": Note.IMAGE_UNLABELLED,
    "entry that is no image": Note.ENTRY_IGNORED,
    "line that comes twice": Note.REPEATED_LINE,
    "blank line": Note.BLANK_LINE,
    "carriage returns": Note.CARRIAGE_RETURN,
    "byte order mark": Note.BYTE_ORDER_MARK,
    "label that comes twice in a bag": Note.BAG_LABEL_REPEATED,
    "bag that names no folder": Note.BAG_FOLDER_MISSING,
    "folder in no bag": Note.FOLDER_WITHOUT_BAG,
}
HARMLESS = frozenset(
    {
        *("GNU long name", "PAX header", "global PAX header", "binary size", "a tar inside a JPEG", "second column"),
        *("progressive JPEG", "grayscale JPEG", "parts that are pieces of one tar"),
    }
)


SMALL_RANGES = (
    "import time; from pipeline.archives import tasks; from pipeline.archives.tar import survey; "
    "from pipeline.run import driver; survey.range_bytes = lambda _: 10_000; tasks.PARTS_FOR_OTHERS = 0; "
    "survey.scan_range = None"
)
"""Makes a survey of many parts, none of which the driver can do itself."""
SLOW_SURVEY = (
    f"{SMALL_RANGES}; decode = survey._decode; survey._decode = lambda table: (time.sleep(0.1), decode(table))[1]"
)
"""Makes the driver slow to take the parts, so that it is killed before the survey ends."""
SLOW_END = f"{SMALL_RANGES}; driver.finish = lambda *_: time.sleep(600)"
"""Keeps a conversion from ending before it is killed."""


class TestSysu30k(SourceSuite):
    """See ``SourceSuite``."""

    source = SYSU30K
    given: ClassVar = {"samples_per_shard": 20}
    reasons = REASONS
    notes = NOTES
    harmless = HARMLESS
    recognised = (
        ("sysu_train_set_all_part1.tar",),
        ("sysu_test_set_all.tar", "train.txt"),
        ("SYSU_train_set_all.tar.gz",),
    )
    refused = (("train.txt", "query.txt"), ("Images_2.zip",), ("sysu_train_set_all.txt",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="sysu30k", images=200, traps=True, workers=1)
        return read_traps(folder)

    @pytest.mark.slow
    def test_killed_and_continued_it_makes_the_same_bytes(self, converted: Converted, tmp_path: Path) -> None:
        """Kill the driver and its workers in the survey and in the conversion, several times where seeds are many."""
        out, chance, times = tmp_path / "out", random.Random(0), min(SEEDS, 3)
        scanned, made = sorted(chance.sample(range(1, 50), times)), sorted(chance.sample(range(1, 8), times))
        for count in scanned:
            self._kill(converted, out, SLOW_SURVEY, lambda: len([*out.glob(".work/survey/*.arrow")]), count)
            assert finished_shards(out) == 0
        for count in made:
            self._kill(converted, out, SLOW_END, lambda: finished_shards(out), count)
            whole = {name: digest for name, digest in digests(out).items() if name.endswith(".tar")}
            assert whole.items() <= digests(converted.out).items()
        done = run_command(*self.command(converted, out), "--workers", 2, before=SMALL_RANGES)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "continuing" in done.stderr
        assert len([*out.glob(".work/survey/*.arrow")]) > max(scanned)
        assert digests(out) == digests(converted.out)

    def _kill(self, converted: Converted, out: Path, before: str, progress: Callable[[], int], wanted: int) -> None:
        process = start_command(*self.command(converted, out), "--workers", 2, before=before)
        try:
            wait_until(lambda: progress() >= wanted or process.poll() is not None, f"{wanted} parts")
            assert process.poll() is None, process.communicate()
        finally:
            for pid in [process.pid, *(pid for pid, _ in descendants(process.pid))]:
                kill(pid)
            process.communicate(timeout=WAIT_SECONDS)
        assert not (out / "dataset.json").exists()

    def test_each_reject_names_its_trap(self, converted: Converted) -> None:
        planted = {(REASONS[trap["trap"]], trap["path"]) for trap in converted.traps if trap["trap"] in REASONS}
        assert {(reject.reason, reject.name) for reject in converted.rejects} == planted

    def test_notes_count_what_was_planted(self, converted: Converted) -> None:
        notes = converted.manifest.notes
        query_lines = converted.source.joinpath("meta/query.txt").read_bytes().count(b"\r\n")
        assert {note: notes[note].count for note in NOTES.values()} == {
            **dict.fromkeys(NOTES.values(), 1),
            Note.ENTRY_IGNORED: 2,
            Note.CARRIAGE_RETURN: query_lines,
        }

    def test_what_the_parts_are_is_decided_and_recorded(self, converted: Converted) -> None:
        decision = converted.manifest.decisions["tar_parts"]
        assert decision.choice == "pieces"
        assert decision.evidence == {"files": 4, "beginning_like_a_tar": 2}
        assert converted.manifest.decisions["splits_from"].choice == "lists"

    def test_the_set_has_the_bags_that_name_folders(self, converted: Converted) -> None:
        bags = decode_bags((converted.out / "bags.json").read_bytes())
        source = json.loads((converted.source / "meta/bag_level_label.json").read_text())
        assert {bag.bag_id for bag in bags} == {bag["BagID"] for bag in source}
        assert all(len(set(bag.labels)) == len(bag.labels) for bag in bags)
        assert "0000099999" not in {folder for bag in bags for folder in bag.folders}

    def test_bags_that_contradict_the_samples_are_found_out(self, converted: Converted, tmp_path: Path) -> None:
        out = Path(shutil.copytree(converted.out, tmp_path / "out"))
        bags = decode_bags((out / "bags.json").read_bytes())
        content = encode_bags(bags[1:])
        (out / "bags.json").write_bytes(content)

        def change(manifest: Any) -> None:
            manifest["files"]["bags.json"] = {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }

        edit_manifest(out, change)
        faults = verify(str(out), workers=1).faults
        assert any(f"bags are ['{bags[0].bag_id}'" in fault.what for fault in faults), faults


def images_of_set(out: Path) -> dict[str, str]:
    """SHA-256 of each image in a set, by its path below its root, as the sidecars have it."""
    found = {}
    for shard in out.glob("*/*.tar"):
        with tarfile.open(shard) as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                assert content is not None
                found[Path(entry.name).stem, Path(entry.name).suffix] = content.read()
    return {
        json.loads(text)["image"]: hashlib.sha256(found[key, ".jpg"]).hexdigest()
        for (key, extension), text in found.items()
        if extension == ".json"
    }


def test_images_are_those_that_gnu_tar_gives(plain: Path, plain_set: Path) -> None:
    wanted = {}
    for tar in plain.glob("*.tar"):
        names = subprocess.run(["tar", "tf", tar], check=True, capture_output=True, text=True).stdout.split()
        for name in names:
            if not name.endswith("/"):
                content = subprocess.run(["tar", "xOf", tar, name], check=True, capture_output=True).stdout
                wanted[name.partition("/")[2]] = hashlib.sha256(content).hexdigest()
    assert images_of_set(plain_set) == wanted
    assert len(wanted) == 150


def test_an_unpacked_dataset_gives_the_same_samples(plain: Path, plain_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "source" / "SYSU-30k-released"
    folder.mkdir(parents=True)
    for tar in plain.glob("*.tar"):
        subprocess.run(["tar", "xf", tar, "-C", folder], check=True)
    (plain / "meta").rename(folder / "meta")
    try:
        out = tmp_path / "out"
        out.mkdir()
        convert_source(SYSU30K, tmp_path / "source", out, SYSU30K.make_options({"samples_per_shard": 30}))
    finally:
        (folder / "meta").rename(plain / "meta")
    assert images_of_set(out) == images_of_set(plain_set)
    assert verify(str(out), workers=1).faults == []


def test_an_unpacked_dataset_with_traps_is_accounted_for(tmp_path: Path) -> None:
    packed, folder, out = (tmp_path / name for name in ("packed", "source", "out"))
    folder.mkdir()
    out.mkdir()
    make_demo(packed, source="sysu30k", images=150, traps=True, workers=1)
    whole = b"".join(file.read_bytes() for file in sorted(packed.glob("sysu_train_set_all_part*.tar")))
    subprocess.run(["tar", "xf", "-", "-C", folder], input=whole, check=True)
    subprocess.run(["tar", "xf", packed / "sysu_test_set_all.tar", "-C", folder], check=True)
    (packed / "meta").rename(folder / "meta")
    manifest = convert_source(SYSU30K, folder, out, SYSU30K.make_options({"samples_per_shard": 30}))
    assert set(manifest.rejects) == {"image_missing", "image_undecodable", "image_unsupported"}
    assert verify(str(out), workers=1).faults == []


def test_without_lists_the_folders_decide(plain: Path, plain_set: Path, tmp_path: Path) -> None:
    options = SYSU30K.make_options({"samples_per_shard": 30, "splits_from": "folders"})
    manifest = convert_source(SYSU30K, plain, tmp_path, options)
    assert manifest.decisions["splits_from"].choice == "folders"
    assert manifest.totals.accounts["lines"].total == 0
    assert images_of_set(tmp_path) == images_of_set(plain_set)


def test_the_size_of_ranges_changes_nothing(
    plain: Path, plain_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "range_bytes", lambda _: 10_007)
    convert_source(SYSU30K, plain, tmp_path, SYSU30K.make_options({"samples_per_shard": 30}))
    assert digests(tmp_path) == digests(plain_set)


def test_a_ray_that_is_there_scans_even_few_ranges(
    plain: Path, plain_set: Path, tmp_path: Path, shared_ray: tuple[str, str]
) -> None:
    before = (
        "from pipeline.archives.tar import survey; survey.scan_range = None; "  # the driver itself can scan none
        "survey.range_bytes = lambda total: total // 4"
    )
    command = ("convert", plain, tmp_path / "out", "--samples-per-shard", 30, *shared_ray)
    result = run_command(*command, before=before)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digests(tmp_path / "out") == digests(plain_set)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "sysu_test_set_all.tar").write_bytes(b"\x1f\x8b\x08"), "packed by gzip"),
        (
            lambda folder: (folder / "sysu_train_set_all_part3.tar").write_bytes(
                (folder / "sysu_train_set_all_part3.tar").read_bytes()[:30_000]
            ),
            r"sysu_train_set_all_part3\.tar.* byte",
        ),
        (lambda folder: (folder / "meta/bag_level_label.json").write_text("{}"), "is no list of bags"),
        (lambda folder: (folder / "meta/train.txt").write_bytes(b"\0\0"), "holds a NUL"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(plain: Path, tmp_path: Path, change: Any, message: str) -> None:
    for file in plain.rglob("*"):
        if file.is_file():
            target = tmp_path / file.relative_to(plain)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    change(tmp_path)
    with pytest.raises(UsageError, match=message):
        SYSU30K.survey(LocalStore(tmp_path), SYSU30K.make_options({}))


def test_more_missing_images_than_a_set_can_name_are_refused(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(plain, tmp_path / "source")
    (tmp_path / "source/sysu_test_set_all.tar").unlink()
    options = SYSU30K.make_options({})
    missing = len(SYSU30K.survey(LocalStore(tmp_path / "source"), options).rejects)
    monkeypatch.setattr(rejects, "MOST_REJECTS", missing - 1)
    with pytest.raises(UsageError, match=f"{missing} listed images are in no archive: get the missing archives"):
        SYSU30K.survey(LocalStore(tmp_path / "source"), options)


def test_a_missing_part_of_the_dataset_is_a_gap(plain: Path, tmp_path: Path) -> None:
    for name in ("sysu_test_set_all.tar",):
        (tmp_path / name).write_bytes((plain / name).read_bytes())
    catalog = SYSU30K.survey(LocalStore(tmp_path), SYSU30K.make_options({}))
    assert catalog.gaps == ["sysu_train_set_all is missing: no archive or folder holds it"]
    assert catalog.protocols == {"p1": {"gallery": ["p1-gallery"], "query": ["p1-query"]}}


def test_whatever_is_not_listed_is_counted(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "source")
    listed = (tmp_path / "source/meta/train.txt").read_text().splitlines()
    (tmp_path / "source/meta/train.txt").write_text("\n".join(listed[5:]) + "\n")
    with tarfile.open(tmp_path / "source/sysu_train_set_all_part3.tar", "a") as archive:
        again = tarfile.TarInfo(f"sysu_train_set_all/{listed[0]}")
        archive.addfile(again)
        link = tarfile.TarInfo("sysu_train_set_all/0000000001/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "elsewhere.jpg"
        archive.addfile(link)
    catalog = SYSU30K.survey(LocalStore(tmp_path / "source"), SYSU30K.make_options({}))
    assert note_counts(catalog.notes) == {Note.IMAGE_UNLABELLED: 7}
    assert catalog.rejects == []


def test_an_image_that_reaches_over_a_whole_piece_is_refused_by_name(plain: Path, tmp_path: Path) -> None:
    whole = (plain / "sysu_test_set_all.tar").read_bytes()
    cuts = [0, 1000, 1200, len(whole)]
    for number, (start, end) in enumerate(pairwise(cuts), start=1):
        (tmp_path / f"sysu_test_set_all_part{number}.tar").write_bytes(whole[start:end])
    with pytest.raises(UsageError, match=r"part2\.tar is too small a piece: .*join the pieces"):
        SYSU30K.survey(LocalStore(tmp_path), SYSU30K.make_options({}))
