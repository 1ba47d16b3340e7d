"""The manifest vouches for itself: nobody reads one whose bytes are not those that were written."""

import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.resume import claim
from pipeline.run.status import read_status
from pipeline.run.work import find_set, refuse_foreign
from shards_spec.document import SPEC_FILE
from shards_spec.errors import ReidShardsError, SpecError
from shards_spec.manifest import encode_manifest, seal_manifest
from shards_spec.manifest_read import decode_manifest, read_manifest
from shards_spec.storage import LocalStore
from shards_spec.stream import open_dataset
from shards_spec.verify import verify
from tests.support.options import city1m_options
from tests.support.processes import run_command
from tests.support.sets import plan_source, replaced_in_manifest


@pytest.fixture(scope="module")
def data(set_folder: Path) -> bytes:
    return (set_folder / "dataset.json").read_bytes()


def test_what_is_written_is_read(data: bytes) -> None:
    manifest = decode_manifest(data)
    assert encode_manifest(manifest, manifest.files) == data
    assert list(manifest.files) == ["README.md", "croissant.json", "rejects.jsonl"]


def test_a_bit_flipped_at_any_byte_is_noticed(data: bytes) -> None:
    rng = random.Random(0)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.randrange(8)
        with pytest.raises(SpecError, match="is damaged"):
            decode_manifest(bytes(damaged))


def test_a_manifest_that_is_cut_or_goes_on_is_noticed(data: bytes) -> None:
    for changed in (b"", b"{}", data[:-1], data[: len(data) // 2], data[1:], data + b"\n", data + data):
        with pytest.raises(SpecError, match="is damaged"):
            decode_manifest(changed)


def test_the_commands_of_the_specification_show_the_digest(set_folder: Path, data: bytes) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", SPEC_FILE.read_text(), re.DOTALL)
    said = decode_manifest(data).sha256
    done = subprocess.run(["sh", "-c", commands], cwd=set_folder, capture_output=True, text=True, check=True)
    assert done.stdout == f"{said}\n{said}\n"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'"spec": "1.0"', b'"spec": "2.0"', r"spec 2\.0, but this version reads 1\.x: install a newer reid-shards"),
        (b'"city1m"', b'"nobody"', "variant 'nobody', but this version reads .*: install a newer"),
        (b'"cells"', b'"rooms"', "is damaged: .*cells"),
        (b'"seed": 0', b'"seed": ' + b"[" * 5000 + b"]" * 5000, "is damaged"),
        (b'"seed": 0', b'"seed": 0,', "is damaged"),
    ],
)
def test_what_this_version_cannot_read_is_refused_in_one_line(data: bytes, old: bytes, new: bytes, what: str) -> None:
    with pytest.raises(SpecError, match=f"^s3://b/dataset.json:? ?{what}") as raised:
        decode_manifest(replaced_in_manifest(data, old, new), "s3://b/dataset.json")
    assert "\n" not in str(raised.value)


def test_a_newer_format_is_named_whatever_else_it_changed() -> None:
    with pytest.raises(SpecError, match="install a newer reid-shards"):
        decode_manifest(seal_manifest(b'{\n  "spec": "2.0",\n  "variant": "city1m",\n'))


def test_fields_of_a_later_minor_version_are_ignored(data: bytes) -> None:
    later = replaced_in_manifest(data, b'"spec": "1.0"', b'"spec": "1.7",\n  "mood": "good"')
    assert decode_manifest(later).totals == decode_manifest(data).totals


READERS: dict[str, Callable[[Path, Path], Any]] = {
    "read_manifest": lambda out, _: read_manifest(LocalStore(out)),
    "find_set": lambda out, _: find_set(LocalStore(out)),
    "refuse_foreign": lambda out, _: refuse_foreign(LocalStore(out)),
    "claim": lambda out, source: claim(LocalStore(out), plan_source(source, city1m_options(samples_per_shard=20))),
    "status": lambda out, _: read_status(LocalStore(out)),
    "open_dataset": lambda out, _: open_dataset(out),
    "verify": lambda out, _: verify(str(out), workers=1),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_reader_of_a_manifest_checks_it(
    read: Callable[[Path, Path], Any],
    data: bytes,
    source_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset.json").write_bytes(data.replace(b'"pyarrow": "', b'"pyarrow": "0', 1))
    with pytest.raises(ReidShardsError, match=r"dataset\.json is damaged: its SHA-256"):
        read(out, source_folder)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_reader_of_a_manifest_refuses_an_unknown_variant(
    read: Callable[[Path, Path], Any],
    data: bytes,
    source_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset.json").write_bytes(replaced_in_manifest(data, b'"variant": "city1m"', b'"variant": "nobody"'))
    with pytest.raises(ReidShardsError, match=r"dataset\.json: variant 'nobody', .*: install a newer reid-shards$"):
        read(out, source_folder)


@pytest.mark.parametrize(
    "command", [["status"], ["verify"], ["stream"], ["export", "wids"], ["verify", "--source", "."]]
)
def test_commands_refuse_an_unknown_variant_in_one_line(data: bytes, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "dataset.json").write_bytes(replaced_in_manifest(data, b'"variant": "city1m"', b'"variant": "nobody"'))
    done = (
        run_command(*command[:2], tmp_path, *command[2:])
        if command[0] == "export"
        else run_command(command[0], tmp_path, *command[1:])
    )
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("install a newer reid-shards"), done.stderr


def test_nesting_without_end_is_said(data: bytes) -> None:
    deep = b'"options": {"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b", "
    with pytest.raises(SpecError, match=r"dataset\.json is damaged: is nested too deeply: delete it"):
        decode_manifest(replaced_in_manifest(data, b'"options": {', deep))


def test_counts_of_any_number_of_digits_are_refused(data: bytes) -> None:
    for number in (b"9" * 19, b"1" + b"0" * 400, b"9" * 5000):
        with pytest.raises(SpecError, match=r"dataset\.json is damaged: .*total"):
            decode_manifest(replaced_in_manifest(data, b'"total": ', b'"total": ' + number))


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "dataset.json").open("wb") as file:
        file.truncate(30 * 10**9)
    for use in (read_manifest, find_set, read_status, refuse_foreign):
        with pytest.raises(ReidShardsError, match=r"dataset\.json is 30,000,000,000 bytes, but"):
            use(LocalStore(tmp_path))


def test_a_protocol_names_cells_that_are_there(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"train of p1 has cell 'p1-train_p2-nowhere', but there is none"):
        decode_manifest(replaced_in_manifest(data, b'"p1-train_p2-train"', b'"p1-train_p2-nowhere"'))


@pytest.mark.parametrize("name", [b"[/x]", b"../p1", b"P1", b"", b"p 1", b"\\u001b[31m"])
def test_names_that_no_file_should_have_are_refused(data: bytes, name: bytes) -> None:
    for old in (b'"p1": {', b'"train": ['):
        new = old.replace(b"p1", name).replace(b"train", name)
        with pytest.raises(SpecError, match=r"dataset\.json is damaged: .*protocols"):
            decode_manifest(replaced_in_manifest(data, old, new))
