"""The mapped index: made once, by one process of many, and trusted only after it was checked."""

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from shards_spec.errors import ReidShardsError, SpecError
from shards_spec.manifest import Manifest
from shards_spec.manifest_read import decode_manifest
from shards_spec.storage import LocalStore, Store
from shards_spec.stream import index_write, open_dataset
from shards_spec.stream.index_cache import SetIndex, prepare_index
from tests.support.disks import on_small_disk
from tests.support.rays import may_mount
from tests.support.sets import replaced_in_manifest


def prepare(source: Path, folder: Path) -> Path:
    return prepare_index(LocalStore(source), (source / "dataset.json").read_bytes(), folder)


def test_it_says_what_the_parquet_says(stream_folder: Path, tmp_path: Path) -> None:
    index = SetIndex(prepare(stream_folder, tmp_path))
    manifest = decode_manifest((stream_folder / "dataset.json").read_bytes())
    names = index.label_values("identity")
    for cell, entry in manifest.cells.items():
        table = pq.read_table(stream_folder / entry.index.file)
        rows = index.cell_rows(cell)
        records = index.rows[rows.start : rows.stop]
        for column in ("jpg_offset", "json_size", "jpg_crc32", "unit_index", "camera"):
            assert records[column].tolist() == table[column].to_pylist()
        assert [names[code] for code in records["identity"]] == table["identity"].to_pylist()
        assert [key.decode() for key in index.keys[rows.start : rows.stop]] == table["key"].to_pylist()
        assert {names[code] for code in index.cell_labels(cell, "identity")} == set(table["identity"].to_pylist())
    assert not index.rows.flags.writeable
    assert len(pickle.dumps(index)) < 500


def test_many_processes_make_it_once(stream_folder: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        folders = list(pool.map(prepare, [stream_folder] * 4, [tmp_path] * 4))
    assert len(set(folders)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folders[0].name, f"{folders[0].name}.lock"])


def test_of_two_that_do_not_see_each_others_lock_one_wins(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = index_write.write_index_files
    made = []

    def meanwhile(store: Store, manifest: Manifest, folder: Path) -> None:
        write(store, manifest, folder)
        (tmp_path / f"{folder.name.partition('.')[0]}.lock").unlink()  # as cleanup does with old ones
        monkeypatch.setattr(index_write, "write_index_files", write)
        made.append(prepare(stream_folder, tmp_path))

    monkeypatch.setattr(index_write, "write_index_files", meanwhile)
    assert [prepare(stream_folder, tmp_path)] == made
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == ["", ".lock"]


@pytest.mark.parametrize("file", ["manifest.json", "shape.json", "rows", "keys"])
def test_a_damaged_index_is_named(stream_folder: Path, tmp_path: Path, file: str) -> None:
    folder = prepare(stream_folder, tmp_path)
    for damage in (lambda path: os.truncate(path, path.stat().st_size // 2), Path.unlink):
        damage(folder / file)
        with pytest.raises(ReidShardsError, match=f"{folder.name} is damaged: .*: open the set again"):
            SetIndex(folder)


def test_an_index_removed_meanwhile_is_named(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = open_dataset(stream_folder)
    stream = dataset.stream()
    keys = [sample["__key__"] for sample in stream]
    pickled = pickle.dumps(stream)
    shutil.rmtree(tmp_path / "reid-shards")
    fails: list[Callable[[], object]] = [
        lambda: stream.identities,
        dataset.stream,
        lambda: dataset.stream(where=pc.field("camera") == 1),
        lambda: pickle.dumps(stream),
        lambda: pickle.loads(pickled),
        lambda: iter(DataLoader(stream, 4, num_workers=1, multiprocessing_context="spawn")),
    ]
    message = f"the index in {tmp_path}/reid-shards/.* was removed meanwhile: open the set again"
    for fail in fails:
        with pytest.raises(ReidShardsError, match=message):
            fail()
    stream.set_epoch(0)
    assert [sample["__key__"] for sample in stream] == keys  # what is mapped stays
    open_dataset(stream_folder)
    for fail in (lambda: pickle.dumps(stream), lambda: pickle.loads(pickled)):  # its selection is still gone
        with pytest.raises(ReidShardsError, match=message):
            fail()
    open_dataset(stream_folder).stream()
    assert [sample["__key__"] for sample in pickle.loads(pickled)]


def test_an_index_that_is_not_the_manifests_is_refused(copied: Path, tmp_path: Path) -> None:
    index = next(copied.glob("*/index.parquet"))
    data = bytearray(index.read_bytes())
    data[len(data) // 2] ^= 1
    index.write_bytes(data)
    with pytest.raises(SpecError, match="its SHA-256 is"):
        prepare(copied, tmp_path / "index")
    assert [path.suffix for path in (tmp_path / "index").iterdir()] == [".lock"]
    index.unlink()
    with pytest.raises(SpecError, match=r"index\.parquet is missing"):
        prepare(copied, tmp_path / "index")
    index.mkdir()
    with pytest.raises(ReidShardsError, match=r"index\.parquet cannot be read: .*directory"):
        prepare(copied, tmp_path / "index")


def test_a_changed_set_has_another_index(copied: Path, stream_folder: Path, tmp_path: Path) -> None:
    first = prepare(stream_folder, tmp_path)
    manifest = (copied / "dataset.json").read_bytes()
    (copied / "dataset.json").write_bytes(replaced_in_manifest(manifest, b'"seed": 0', b'"seed": 1'))
    assert prepare(copied, tmp_path) != first


_FULL = """
import resource, signal, sys
from pathlib import Path
from shards_spec.storage import LocalStore
from shards_spec.stream.index_cache import prepare_index
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
source = Path(sys.argv[1])
prepare_index(LocalStore(source), (source / "dataset.json").read_bytes(), Path(sys.argv[2]))
"""


def test_a_full_disk_is_an_error_that_says_what_to_do(stream_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(stream_folder), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ReidShardsError" in done.stderr
    assert "make room, or name another folder in XDG_CACHE_HOME" in done.stderr
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


_FILLED = """
import os, sys
from pathlib import Path
sys.modules["torch"] = None  # takes long to import
from shards_spec import open_dataset
from shards_spec.errors import ReidShardsError
disk = Path(os.environ["XDG_CACHE_HOME"])
dataset = open_dataset(sys.argv[1])
with (disk / "filler").open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
for _ in range(2):
    try:
        dataset.stream()
    except ReidShardsError as error:
        print(error)
(disk / "filler").unlink()
print(sum(1 for _ in dataset.stream()))
print(sorted(path.suffix for path in disk.rglob("*/*/*")))
"""


def test_a_disk_that_is_full_for_real(stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not may_mount():
        pytest.skip("mounting a small disk needs root")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = on_small_disk(tmp_path, 40_000, _FILLED, stream_folder)
    assert f"cannot be kept in {tmp_path}/reid-shards: [Errno 28]" in done.stderr
    assert "make room, or name another folder in XDG_CACHE_HOME" in done.stderr
    done = on_small_disk(tmp_path, 10**6, _FILLED, stream_folder)
    assert done.returncode == 0, done.stderr
    *told, count, suffixes = done.stdout.splitlines()
    assert len(told) == 2
    assert all("a selection cannot be kept in" in line and "make room" in line for line in told)
    assert int(count) == sum(1 for _ in open_dataset(stream_folder).stream())
    assert suffixes.count(".rows") == 1


def test_a_folder_that_cannot_be_made(stream_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReidShardsError, match="XDG_CACHE_HOME"):
        prepare(stream_folder, tmp_path / "file" / "folder")


def test_opening_needs_nothing_of_a_set_that_moved(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = Path(shutil.copytree(stream_folder, tmp_path / "set"))
    index = open_dataset(stream_folder).stream().source.selection.index.folder
    for parquet in copy.glob("*/index.parquet"):
        parquet.unlink()
    assert open_dataset(copy).stream().source.selection.index.folder == index
