"""Whatever happens to the files that the reader keeps: the right samples, or an error of one line."""

import contextlib
import multiprocessing
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from zlib_ng import zlib_ng

from shards_spec.errors import ReidShardsError
from shards_spec.storage import LocalStore
from shards_spec.stream import checked_files, index_cache, index_format, open_dataset
from shards_spec.stream.checked_files import NOTES_SUFFIX
from shards_spec.stream.index_cache import SetIndex

Damage = Callable[[Path, random.Random], object]
Labelled = list[tuple[str, int, bytes]]


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def zero(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + 512)
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)


def swap(path: Path, rng: random.Random) -> None:
    other = rng.choice([one for one in sorted(path.parent.iterdir()) if one.is_file()])
    path.rename(path.with_name("aside"))
    with contextlib.suppress(FileNotFoundError):
        other.rename(path)
    path.with_name("aside").rename(other)


def replace_by_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    (path / "folder").mkdir(parents=True)


def replace_by_pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(rng.choice([path.name, "nowhere", "/dev/zero", *(one.name for one in path.parent.iterdir())]))


DAMAGES: list[Damage] = [
    flip,
    zero,
    swap,
    replace_by_folder,
    replace_by_pipe,
    replace_by_link,
    lambda path, rng: os.truncate(path, rng.randrange(path.stat().st_size + 1)),
    lambda path, rng: path.write_bytes(path.read_bytes() + rng.randbytes(rng.choice([1, 44, 4096]))),
    lambda path, _: path.write_bytes(b""),
    lambda path, _: path.unlink(),
    lambda path, rng: path.write_bytes(rng.randbytes(path.stat().st_size)),
]


def read_all(source: Path, cache: Path | None = None) -> Iterator[Labelled]:
    """What several streams give that read every kind of kept file."""
    dataset = open_dataset(source, cache=cache, cache_limit=None if cache is None else 2**30)
    every: list[dict[str, Any]] = [{}, {"where": pc.field("camera") < 4}, {"by": "frame", "split": "gallery"}]
    for options in every:
        stream = dataset.stream(**options)
        samples = list(stream)
        if "by" in options:
            yield [
                (frame["__key__"], label, jpg)
                for frame in samples
                for label, jpg in zip(frame["label"], frame["jpg"], strict=True)
            ]
        else:
            yield [(sample["__key__"], sample["label"], sample["jpg"]) for sample in samples]
        yield [(identity, 0, b"") for identity in stream.identities]


@pytest.fixture
def folder(stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index of the set, with selections beside it, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(checked_files, "_SETTLED_NS", 0)  # so that there are notes at once
    list(read_all(stream_folder))
    list(read_all(stream_folder))
    (index,) = (path for path in (tmp_path / "reid-shards").iterdir() if path.is_dir())
    return index


@pytest.mark.parametrize("seed", range(4))
def test_damage_to_a_kept_file_is_never_seen_in_a_sample(stream_folder: Path, folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    expected = list(read_all(stream_folder))
    names = sorted(path.name for path in folder.iterdir())
    assert any(name.endswith(NOTES_SUFFIX) for name in names)
    for name in names:
        path = folder / name
        if not path.exists():  # notes that a damage before took along
            continue
        rng.choice(DAMAGES)(path, rng)
        assert list(read_all(stream_folder)) == expected, name
        SetIndex(folder)  # and it is sound again


@pytest.mark.parametrize("damage", [replace_by_folder, replace_by_pipe, replace_by_link, lambda path, _: path.unlink()])
def test_an_index_in_whose_place_something_else_stands_is_made_anew(
    stream_folder: Path, folder: Path, damage: Damage
) -> None:
    expected = list(read_all(stream_folder))
    shutil.rmtree(folder)
    folder.touch()
    damage(folder, random.Random(0))
    assert list(read_all(stream_folder)) == expected


def test_damage_while_a_set_is_open_is_mended_or_told(stream_folder: Path, folder: Path) -> None:
    expected = next(read_all(stream_folder))
    dataset = open_dataset(stream_folder)
    stream = dataset.stream()
    pickled = pickle.dumps(stream)
    for path in sorted(folder.iterdir()):
        if path.suffix != NOTES_SUFFIX and path.name != "manifest.json":
            flip_anew(path)
    fails: list[Callable[[], object]] = [lambda: stream.identities, lambda: pickle.loads(pickled)]
    for fail in fails:
        with pytest.raises(ReidShardsError, match=r"is damaged: .*: open the set again"):
            fail()
    assert [(one["__key__"], one["label"], one["jpg"]) for one in stream] == expected  # what is mapped stays
    again = dataset.stream(where=pc.field("camera") >= 0)  # reads the copy of the Parquet file, and has it made anew
    assert sorted((one["__key__"], one["label"], one["jpg"]) for one in again) == sorted(expected)
    assert pickle.loads(pickled).identities


def test_many_processes_mend_it_once(stream_folder: Path, folder: Path) -> None:
    held = (folder / "manifest.json").stat().st_ino
    flip_anew(folder / index_format.ROWS_FILE)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        folders = list(pool.map(prepare, [stream_folder] * 4, [folder.parent] * 4))
    assert folders == [folder] * 4
    assert SetIndex(folder).label_values("identity")
    assert (folder / "manifest.json").stat().st_ino == held  # whose lock keeps the index from being swept
    assert sorted(path.suffix for path in folder.parent.iterdir()) == ["", ".lock"]


def prepare(source: Path, folder: Path) -> Path:
    return index_cache.prepare_index(LocalStore(source), (source / "dataset.json").read_bytes(), folder)


def flip_anew(path: Path) -> None:
    """Damage a file under its name, while whoever has mapped it keeps it as it was."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_content_is_read_once_a_boot(stream_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    sum_of = zlib_ng.crc32

    def counting(data: Any) -> int:
        read.append(len(data))
        return sum_of(data)

    list(read_all(stream_folder))
    monkeypatch.setattr(checked_files, "crc32", counting)
    size = (folder / index_format.ROWS_FILE).stat().st_size
    SetIndex(folder)
    assert size not in read
    monkeypatch.setattr(checked_files, "_boot", lambda: "0" * 32)
    SetIndex(folder)
    assert size in read
    read.clear()
    SetIndex(folder)
    assert size not in read
    flip_anew(folder / index_format.ROWS_FILE)
    with pytest.raises(ReidShardsError, match="rows is not as it was written"):
        SetIndex(folder)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("seed", range(2))
def test_damage_to_a_cached_block_is_never_seen_in_a_sample(stream_folder: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    expected = list(read_all(stream_folder, tmp_path / "blocks"))
    for _ in range(10):
        blocks = [path for path in sorted((tmp_path / "blocks").rglob("*")) if path.is_file()]
        rng.choice(DAMAGES)(rng.choice(blocks), rng)
        assert list(read_all(stream_folder, tmp_path / "blocks")) == expected
