import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards_spec.errors import SpecError, UsageError
from shards_spec.manifest import ShardFile
from shards_spec.verify import Fault, verify
from tests.support.sets import edit_manifest


@pytest.fixture
def out(set_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(set_folder, tmp_path / "set"))


def faults_of(out: Path) -> list[Fault]:
    return verify(str(out), workers=1).faults


def test_a_sound_set_has_no_faults_and_every_shard_is_looked_at(out: Path) -> None:
    seen: list[ShardFile | None] = []
    verdict = verify(str(out), 2, seen.append)
    assert verdict.faults == []
    listed = [shard for cell in verdict.manifest.cells.values() for shard in cell.shards]
    assert sorted(shard.file for shard in seen if shard) == sorted(shard.file for shard in listed)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.tar")) == sorted(s.file for s in listed)


def test_each_faulty_shard_is_named_once(out: Path) -> None:
    shards = sorted(out.rglob("*.tar"))[:2]
    for shard in shards:
        shard.write_bytes(shard.read_bytes().replace(b"ustar", b"usTar"))
    assert [fault.file for fault in faults_of(out)] == [shard.relative_to(out).as_posix() for shard in shards]


def test_a_set_without_manifest_is_not_a_set(out: Path, tmp_path: Path) -> None:
    (out / "dataset.json").unlink()
    for folder, told in ((out, r"no dataset\.json"), (tmp_path / "nothing", "there is no folder")):
        with pytest.raises(UsageError, match=told):
            verify(str(folder))


def test_a_manifest_of_another_spec_is_refused(out: Path) -> None:
    edit_manifest(out, lambda manifest: manifest.update(spec="2.0"))
    with pytest.raises(SpecError, match=r"spec 2\.0"):
        verify(str(out))


def test_a_damaged_manifest_is_refused(out: Path) -> None:
    (out / "dataset.json").write_text('{"spec": 1}')
    with pytest.raises(SpecError, match=r"dataset\.json is damaged"):
        verify(str(out))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m["totals"].update(samples=m["totals"]["samples"] + 1), "120 kept, but the set has 121 samples"),
        (lambda m: m["totals"].update(bytes=1), "1 bytes"),
        (lambda m: m["protocols"]["p1"].update(train=[]), "protocols"),
        (lambda m: m["protocols"]["p2"].update(query=m["protocols"]["p2"]["train"]), "stands for"),
        (lambda m: next(iter(m["cells"].values()))["shards"][0].update(file="../../etc/passwd"), "not named"),
        (lambda m: next(iter(m["cells"].values()))["index"].update(file="../index.parquet"), "its index is"),
        (lambda m: m["files"].pop("README.md"), "its files are"),
        (lambda m: m["files"].update({"../../etc/passwd": m["files"]["README.md"]}), "its files are"),
        (lambda m: m.update(extra=1), "spec's form"),
    ],
)
def test_a_manifest_that_contradicts_itself(out: Path, change: Callable[[Any], object], what: str) -> None:
    edit_manifest(out, change)
    faults = faults_of(out)
    assert {fault.file for fault in faults} == {"dataset.json"}
    assert any(what in fault.what for fault in faults)


def test_files_beside_the_shards(out: Path) -> None:
    (out / "report.html").write_text("for people")
    (out / ".work").mkdir(exist_ok=True)
    (out / ".work" / "anything").write_text("")
    cell = next(path for path in out.iterdir() if path.is_dir() and path.name != ".work")
    (cell / "stray.tar").write_bytes(b"")
    (cell / "index.parquet").write_bytes(b"PAR1")
    (out / "rejects.jsonl").write_text("{}\n")
    assert [(fault.file, fault.what.split(" ")[0]) for fault in faults_of(out)] == [
        (f"{cell.name}/index.parquet", "its"),
        (f"{cell.name}/stray.tar", "is"),
        ("rejects.jsonl", "is"),
    ]


def test_the_card_and_the_rejects_are_checked_byte_by_byte(out: Path) -> None:
    for name in ("README.md", "rejects.jsonl"):
        data = bytearray((out / name).read_bytes() or b"\n")
        data[len(data) // 2] ^= 1
        (out / name).write_bytes(data)
    (card, rejects) = faults_of(out)
    assert (card.file, rejects.file) == ("README.md", "rejects.jsonl")
    assert "SHA-256" in card.what


def test_a_missing_index_and_missing_rejects(out: Path) -> None:
    cell = next(path for path in out.iterdir() if path.is_dir() and path.name != ".work")
    (cell / "index.parquet").unlink()
    (out / "rejects.jsonl").unlink()
    assert faults_of(out) == [Fault(f"{cell.name}/index.parquet", "is missing"), Fault("rejects.jsonl", "is missing")]


def test_importing_the_contract_loads_neither_pipeline_nor_ray_nor_pillow() -> None:
    program = (
        "import sys, pkgutil, importlib, shards_spec\n"
        "for module in pkgutil.walk_packages(shards_spec.__path__, 'shards_spec.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([name for name in ('pipeline', 'ray', 'PIL') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
