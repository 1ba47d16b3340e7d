"""Models are read for the names of their textures in parts, by other processes, and once."""

from pathlib import Path

import pytest

from pipeline.archives import KeptResults, ProcessTasks, SerialTasks
from pipeline.demo.models.fbx import Card, binary_fbx
from pipeline.sources.city1m.models import names
from pipeline.sources.city1m.models.entries import Entry
from pipeline.sources.city1m.models.names import Named, read_names
from shards_spec.rejects import RejectReason
from shards_spec.storage import LocalStore

CORNERS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0))


def write_models(folder: Path, count: int) -> list[Entry]:
    entries = []
    for number in range(count):
        data = binary_fbx([Card("front", CORNERS, f"{number}.png", "")]) if number != 3 else b"nothing"
        (folder / f"{number}.fbx").write_bytes(data)
        entries.append(Entry(f"{number}.fbx", "", f"{number}.fbx", len(data)))
    return entries


def test_other_processes_read_parts_and_what_they_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("source", "kept"):
        (tmp_path / name).mkdir()
    models = write_models(tmp_path / "source", 12)
    store = LocalStore(tmp_path / "source")
    told: list[str] = []
    alone = read_names(store, models, SerialTasks(store), told.append)
    assert told == ["names of textures: 12 of 12 models"]
    assert [[texture.name for texture in one.textures] for one in alone] == [
        [] if number == 3 else [f"{number}.png"] for number in range(12)
    ]
    assert alone[3] == Named([], RejectReason.MODEL_UNREADABLE, "it does not begin like an FBX file")
    monkeypatch.setattr(names, "_PART_MODELS", 3)
    tasks = ProcessTasks(store, KeptResults(LocalStore(tmp_path / "kept"), "names"), workers=2)
    assert read_names(store, models, tasks, told.append) == alone
    assert len(list((tmp_path / "kept/names").iterdir())) == 4

    (tmp_path / "source/7.fbx").write_bytes(binary_fbx([Card("front", CORNERS, "x.png", "")]))  # as large as before
    again = read_names(store, models, tasks, told.append)
    assert [texture.name for texture in again[7].textures] == ["x.png"]
    assert again[:7] + again[8:] == alone[:7] + alone[8:]
    assert again[7].crc32 != alone[7].crc32
    assert len(list((tmp_path / "kept/names").iterdir())) == 5


def test_parts_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = write_models(tmp_path, 6)
    store = LocalStore(tmp_path)
    monkeypatch.setattr(names, "_PART_BYTES", 1)
    told: list[str] = []
    read_names(store, models, SerialTasks(store), told.append)
    assert told == [f"names of textures: {number} of 6 models" for number in range(1, 7)]
