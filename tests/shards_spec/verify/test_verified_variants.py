"""verify over variants with several files a sample, and with a number of them that varies."""

from pathlib import Path

from shards_spec.variants import Variant
from shards_spec.verify import verify
from tests.support.sets import edit_manifest
from tests.support.variant_sets import PARTED, SCANS, WEAK, Scan, scan, write_scans

PARTS = [[], ["0.png"], ["0.png", "1.jpg", "2.txt"]]


def faults_of(out: Path, variant: Variant, scans: list[Scan], **extra: bytes) -> list[str]:
    write_scans(out, variant, scans, extra={name.replace("_", "."): data for name, data in extra.items()})
    return [fault.what for fault in verify(str(out), workers=1).faults]


def test_sets_of_other_variants_are_sound(tmp_path: Path) -> None:
    scans = [scan(number, None if number % 2 else f"person{number}", number % 3 or None) for number in range(30)]
    assert faults_of(tmp_path / "two files", SCANS, scans) == []
    parted = [scan(number, parts=PARTS[number % 3]) for number in range(30)]
    assert faults_of(tmp_path / "parts", PARTED, parted) == []


def test_a_file_that_the_variant_or_the_sidecar_does_not_have_is_found(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path / "two files", SCANS, [scan(0), scan(1)], png=b"x")
    assert fault == "scan0.bin: scan0.png follows, not scan0.json"
    (fault,) = faults_of(tmp_path / "parts", PARTED, [scan(0, parts=["0.png"]), scan(1)], **{"1_png": b"x"})
    assert fault == "scan0: its files are txt, 0.png, 1.png, json, but its sidecar says txt, 0.png, json"


def test_nulls_and_statistics_of_nullable_columns_agree(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none", SCANS, [scan(number) for number in range(5)]) == []
    assert faults_of(tmp_path / "all", SCANS, [scan(number, "a", 1) for number in range(5)]) == []


def test_a_file_that_the_variant_adds_to_a_set_must_be_there_and_as_the_manifest_says(tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert faults_of(out, WEAK, [scan(0), scan(1)]) == []
    (out / "table.json").write_bytes(b"{}")
    assert [fault.what for fault in verify(str(out), workers=1).faults] == ["is 2 bytes, but the manifest says 0"]
    edit_manifest(out, lambda manifest: manifest["files"].pop("table.json"))
    (fault,) = verify(str(out), workers=1).faults
    common = "README.md, croissant.json, rejects.jsonl"
    assert fault.what == f"its files are {common}, not {common}, table.json"


def test_a_key_that_is_not_the_sidecars_is_found(tmp_path: Path) -> None:
    out = tmp_path / "set"
    write_scans(out, SCANS, [scan(0), scan(1)])
    (shard,) = out.rglob("*.tar")
    data = shard.read_bytes()
    assert data.count(b'"name":"scan1"') == 1
    shard.write_bytes(data.replace(b'"name":"scan1"', b'"name":"scan0"'))
    told = [fault.what for fault in verify(str(out), workers=1).faults]
    assert "scan1: by its sidecar, its key is scan0" in told


def test_a_sample_with_more_files_than_the_format_allows_is_found_before_it_is_read_whole(tmp_path: Path) -> None:
    parts = [f"{number}.png" for number in range(257)]
    (fault,) = faults_of(tmp_path / "parts", PARTED, [scan(0, parts=parts)])
    assert fault == "scan0.255.png: scan0.256.png follows, not scan0.json"
