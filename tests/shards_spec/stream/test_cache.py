"""The local cache of blocks: by digest, within its limit, and never the reason that training ends."""

import json
import logging
import os
import pickle
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from shards_spec.errors import UsageError
from shards_spec.manifest import ShardFile
from shards_spec.storage import LocalStore
from shards_spec.stream import Dataset, open_dataset
from shards_spec.stream import cache as cache_module
from shards_spec.stream.cache import ShardCache, open_cache
from tests.support.disks import on_small_disk
from tests.support.rays import may_mount


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "CACHE_BLOCK_BYTES", 10_000)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each read from the store's shards."""
    read, counted = LocalStore.read, []

    def counting(store: LocalStore, path: str, start: int, stop: int) -> bytes:
        if path.endswith(".tar"):
            counted.append(stop - start)
        return read(store, path, start, stop)

    monkeypatch.setattr(LocalStore, "read", counting)
    return counted


def held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_second_epoch_comes_from_the_cache(stream_folder: Path, tmp_path: Path, reads: list[int]) -> None:
    folder = tmp_path / "blocks"
    stream = open_dataset(stream_folder, cache=folder, cache_limit=10**9).stream()
    plain = open_dataset(stream_folder).stream()
    first = list(stream)
    assert first == list(plain)
    count = len(reads)
    again = open_dataset(stream_folder, cache=folder, cache_limit=10**9).stream()
    assert list(again) == first
    assert len(reads) == count
    assert not [path for path in folder.rglob(".*") if path.is_file()]


def test_the_limit_holds(stream_folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(stream_folder)
    limit = max(shard.bytes for cell in dataset.manifest.cells.values() for shard in cell.shards)
    folder = tmp_path / "blocks"
    cached = open_dataset(stream_folder, cache=folder, cache_limit=limit)
    for split in ("train", "gallery"):
        stream = cached.stream(split=split)
        for _ in range(2):
            assert sum(1 for _ in stream) == len(stream.source.selection.rows)
            assert held(folder) <= limit
    assert held(folder) > 0


class Zeros(LocalStore):
    """Any shard, of any size."""

    def read(self, path: str, start: int, stop: int) -> bytes:
        del path
        return bytes(stop - start)


def write_block(folder: Path, cache: ShardCache, number: int) -> Path:
    """Read a byte of a block through the cache; where the block then is."""
    shard = ShardFile(file="x.tar", samples=1, units=1, bytes=10**9, sha256="ab" * 32)
    cache.read_into(Zeros(Path("/")), shard, number * cache_module.CACHE_BLOCK_BYTES, memoryview(bytearray(1)))
    return folder / "ab" / f"{shard.sha256}-{number:06d}"


@pytest.mark.parametrize(("size", "processes"), [(1_000, 4), (5_000, 4), (1_000, 8)])
def test_several_processes_share_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, processes: int
) -> None:
    """Each counts what it wrote itself, as in processes of their own."""
    monkeypatch.setattr(cache_module, "CACHE_BLOCK_BYTES", size)
    caches = [ShardCache(tmp_path, 100_000, 0) for _ in range(processes)]
    most = 0
    for number in range(400):
        write_block(tmp_path, caches[number % processes], number)
        most = max(most, held(tmp_path))
    assert 95_000 <= most <= 100_000 * (1 + 0.05 * processes)


def test_the_folder_is_looked_at_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "CACHE_BLOCK_BYTES", 100)
    scandir, looks = os.scandir, []

    def counting(path: str | Path) -> object:
        if Path(path) != tmp_path:  # of which Python 3.14 lists the entries by scandir, too
            looks.append(path)
        return scandir(path)

    monkeypatch.setattr("shards_spec.stream.cache.os.scandir", counting)
    cache = ShardCache(tmp_path, 100_000, 0)
    for number in range(900):
        write_block(tmp_path, cache, number)
    assert len(looks) == 900 * 100 / 5_000


def test_what_is_being_written_is_held_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "CACHE_BLOCK_BYTES", 2_000)
    first = write_block(tmp_path, ShardCache(tmp_path, 10_000, 0), 0)
    partial, left = (first.with_name(f".{first.name}.{number}.00000000") for number in (77, 78))
    for path in (partial, left):
        path.write_bytes(bytes(7_000))
    an_hour_ago = time.time() - 3_700
    os.utime(left, (an_hour_ago, an_hour_ago))
    second = write_block(tmp_path, ShardCache(tmp_path, 10_000, 0), 1)
    assert [path.exists() for path in (first, partial, left, second)] == [False, True, False, True]
    partial.write_bytes(bytes(20_000))
    third = write_block(tmp_path, ShardCache(tmp_path, 10_000, 0), 2)  # there is no room, and no more to drop
    assert [path.exists() for path in (partial, second, third)] == [True, False, True]
    assert not caplog.records


def test_a_limit_under_one_shard_is_an_error(stream_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not hold one shard of"):
        open_dataset(stream_folder, cache=tmp_path, cache_limit=1000)
    with pytest.raises(UsageError, match="without a cache"):
        open_dataset(stream_folder, cache_limit=10**9)


def test_a_cache_picks_its_folder_and_its_limit(
    stream_folder: Path, tmp_path: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = list(open_dataset(stream_folder, cache=True).stream())
    count = len(reads)
    assert held(tmp_path / "reid-shards" / "shards") > 0
    assert list(open_dataset(stream_folder, cache=True).stream()) == first
    assert len(reads) == count


def test_a_limit_leaves_as_much_as_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = 100_000

    def usage(_: object) -> SimpleNamespace:
        return SimpleNamespace(free=disk - held(tmp_path))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    for _ in range(2):  # the second one finds what the first has kept
        cache = open_cache(tmp_path, None, 20_000)
        for number in range(12):
            write_block(tmp_path, cache, number)
        assert 30_000 < held(tmp_path) <= 50_000
    with pytest.raises(UsageError, match="must hold a shard of 60,000 and leave as much: make room"):
        open_cache(tmp_path, None, 60_000)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"no cache can be kept in .*name another folder"):
        open_cache(tmp_path / "file" / "cache", None, 1)


def test_damaged_blocks_are_fetched_anew(stream_folder: Path, tmp_path: Path, reads: list[int]) -> None:
    stream = open_dataset(stream_folder, cache=tmp_path, cache_limit=10**9).stream()
    first = list(stream)
    blocks = [path for path in tmp_path.rglob("*") if path.is_file()]
    for number, block in enumerate(blocks):
        if number % 2:
            os.truncate(block, block.stat().st_size // 2)
        else:
            block.write_bytes(bytes(block.stat().st_size))
    stream.set_epoch(0)
    assert list(stream) == first
    count = len(reads)
    stream.set_epoch(0)
    assert list(stream) == first
    assert len(reads) == count


def test_a_full_disk_slows_down_and_says_so_once(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = open_dataset(stream_folder, cache=tmp_path, cache_limit=10**9).stream()

    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, f"No space left on device: {len(data)}")

    monkeypatch.setattr(Path, "write_bytes", full)
    with caplog.at_level(logging.WARNING):
        assert list(stream) == list(open_dataset(stream_folder).stream())
    assert sum("nothing more is cached" in record.getMessage() for record in caplog.records) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


_SMALL_DISK = """
import json, logging, sys
from pathlib import Path
sys.modules["torch"] = None  # takes long to import
from shards_spec import open_dataset
from shards_spec.stream import cache
logging.basicConfig(format="%(message)s")
cache.CACHE_BLOCK_BYTES = 10_000
folder = Path(sys.argv[2])
stream = open_dataset(sys.argv[1], cache=folder, cache_limit=10**9).stream()
epochs = [sorted(sample["__key__"] for sample in stream) for _ in range(2)]
print(json.dumps([epochs, sum(path.is_file() for path in folder.rglob("*")), len(list(folder.rglob(".*")))]))
"""


def test_a_disk_that_is_full_for_real(stream_folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("mounting a small disk needs root")
    done = on_small_disk(tmp_path, 100_000, _SMALL_DISK, stream_folder, tmp_path)
    assert done.returncode == 0, done.stderr
    epochs, blocks, partial = json.loads(done.stdout)
    assert epochs == [sorted(sample["__key__"] for sample in dataset.stream())] * 2
    assert blocks > 1
    assert partial == 0
    assert done.stderr.count("nothing more is cached") == 1
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(("failing", "again"), [("os.preadv", True), ("os.utime", False)])
def test_blocks_that_cannot_be_read_or_touched_are_no_error(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int], failing: str, again: bool
) -> None:
    stream = open_dataset(stream_folder, cache=tmp_path, cache_limit=10**9).stream()
    first = list(stream)
    count = len(reads)

    def fails(*_: object) -> None:
        raise FileNotFoundError(2, "dropped meanwhile")

    stream.set_epoch(0)
    with monkeypatch.context() as patch:
        patch.setattr(failing, fails)
        assert list(stream) == first
    assert len(reads) == (2 * count if again else count)


def test_workers_share_it(stream_folder: Path, tmp_path: Path) -> None:
    cached = open_dataset(stream_folder, cache=tmp_path, cache_limit=10**9)
    loader = cached.stream().loader(8, num_workers=2)
    assert sorted(key for batch in loader for key in batch["__key__"]) == sorted(
        sample["__key__"] for sample in open_dataset(stream_folder).stream()
    )
    assert len(pickle.dumps(cached.stream())) < 10_000


def test_blocks_dropped_by_another_process_are_no_error(tmp_path: Path, stream_folder: Path) -> None:
    dataset = open_dataset(stream_folder)
    shard = next(iter(dataset.manifest.cells.values())).shards[0]
    blocks = ShardCache(tmp_path, 10**9, shard.bytes)
    store = LocalStore(stream_folder)
    whole = store.read_whole(shard.file)
    for start, stop in ((0, shard.bytes), (9_990, 10_010), (10_000, 20_000), (5, 6)):
        data = bytearray(stop - start)
        blocks.read_into(store, shard, start, memoryview(data))
        assert data == whole[start:stop]
        for path in list(tmp_path.rglob("*-00000?")):
            path.unlink()


def test_what_is_no_block_stays(stream_folder: Path, tmp_path: Path) -> None:
    """Whoever names a folder that holds other things loses none of them."""
    dataset = open_dataset(stream_folder)
    limit = max(shard.bytes for cell in dataset.manifest.cells.values() for shard in cell.shards)
    others = [tmp_path / "photos" / "a.jpg", tmp_path / "ab" / f"{'ab' * 32}.tar", tmp_path / "notes.txt"]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * limit)
        os.utime(path, (0, 0))
    stream = open_dataset(stream_folder, cache=tmp_path, cache_limit=limit).stream()
    assert sum(1 for _ in stream) == len(stream.source.selection.rows)
    assert all(path.exists() for path in others)
    assert len(list(tmp_path.rglob("*-??????"))) > 1


def test_threads_fetch_a_block_once(stream_folder: Path, tmp_path: Path, reads: list[int]) -> None:
    shard = next(iter(open_dataset(stream_folder).manifest.cells.values())).shards[0]
    blocks, store = ShardCache(tmp_path, 10**9, shard.bytes), LocalStore(stream_folder)
    together = threading.Barrier(8)

    def read(place: int) -> bytes:
        data = bytearray(100)
        together.wait()
        blocks.read_into(store, shard, place * 100, memoryview(data))
        return bytes(data)

    reads.clear()
    with ThreadPoolExecutor(8) as pool:
        found = b"".join(pool.map(read, range(8)))
    assert found == store.read_whole(shard.file)[:800]
    assert len(reads) == 1


@pytest.mark.parametrize("damage", ["zeroed", "cut"])
def test_a_damaged_shard_costs_what_is_damaged(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Through a cache, too: its blocks are fetched anew once, and each sample is then tried by itself."""
    monkeypatch.setattr(cache_module, "CACHE_BLOCK_BYTES", 20_000)
    url = Path(open_dataset(copied).urls()[0])
    size = url.stat().st_size
    if damage == "cut":
        os.truncate(url, size // 2)
    else:
        url.write_bytes(bytes(size))
    plain = open_dataset(copied).stream(on_error="skip")
    expected = sorted(sample["__key__"] for sample in plain)
    fetched = []
    read = LocalStore.read

    def noted(store: LocalStore, path: str, start: int, stop: int) -> bytes:
        fetched.append(path)
        return read(store, path, start, stop)

    stream = open_dataset(copied, cache=tmp_path / "cache", cache_limit=10**9).stream(on_error="skip")
    monkeypatch.setattr(LocalStore, "read", noted)
    assert sorted(sample["__key__"] for sample in stream) == expected
    assert stream.skipped == plain.skipped > 5
    assert sum(url.match(path) for path in fetched) <= 2 * -(-size // 20_000)


def test_a_block_that_cannot_be_dropped_costs_nothing(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as another user's."""
    stream = open_dataset(stream_folder, cache=tmp_path, cache_limit=10**9).stream()
    first = list(stream)
    for block in [path for path in tmp_path.rglob("*") if path.is_file()]:
        block.write_bytes(bytes(block.stat().st_size))

    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    stream.set_epoch(0)
    monkeypatch.setattr(Path, "unlink", refused)
    assert list(stream) == first
