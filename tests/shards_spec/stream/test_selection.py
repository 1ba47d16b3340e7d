"""Choosing samples by the index's columns: only they are read."""

import os
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from shards_spec.errors import UsageError
from shards_spec.stream import Dataset, open_dataset, selection
from shards_spec.stream.checked_files import seal


def test_where_reads_only_what_it_selects(dataset: Dataset) -> None:
    everything = list(dataset.stream())
    camera = everything[0]["json"]["camera"]
    wanted = sorted(
        sample["__key__"]
        for sample in everything
        if sample["json"]["camera"] == camera and sample["json"]["box"][3] > 50
    )
    stream = dataset.stream(where=(pc.field("camera") == camera) & (pc.field("box_h") > 50))
    samples = list(stream)
    assert sorted(sample["__key__"] for sample in samples) == wanted
    tally = stream.source.fetcher.tally
    assert tally.used == sum(len(sample["jpg"]) for sample in samples) + sum(
        int(stream.source.selection.index.rows["json_size"][row]) for row in stream.source.selection.rows
    )
    assert tally.read <= 2 * tally.used + 2048 * len(samples)
    # Labels do not depend on it.
    assert stream.identities == dataset.stream().identities
    labels = {sample["__key__"]: sample["label"] for sample in everything}
    assert all(labels[sample["__key__"]] == sample["label"] for sample in samples)


def test_times_depths_and_nothing(dataset: Dataset) -> None:
    assert all(sample["json"]["time"] == "night" for sample in dataset.stream(where=pc.field("time") == "night"))
    assert list(dataset.stream(where=pc.field("depth") < 0)) == []
    assert list(dataset.stream(where=pc.field("depth") < 0, by="frame")) == []
    frames = list(dataset.stream(where=pc.field("person_id") == 0, by="frame"))
    assert all(len(frame["jpg"]) == 1 for frame in frames)


def test_what_is_no_condition_is_refused(dataset: Dataset) -> None:
    for where in (pc.field("height") > 3, pc.field("camera") + 1, pc.field("camera") == "x", "camera == 1", True):
        with pytest.raises(UsageError, match="must be true or false") as caught:
            dataset.stream(where=where)
        assert "\n" not in str(caught.value)


def test_selections_are_kept_once(dataset: Dataset) -> None:
    dataset.stream()
    folder: Path = dataset.stream().source.selection.index.folder
    before = sorted(path.name for path in folder.iterdir())
    dataset.stream()
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("left", [0, 100, 200])
def test_a_selection_that_a_power_cut_left_cut_is_written_anew(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder: Path = open_dataset(stream_folder).stream(by="frame").source.selection.index.folder
    whole = {path: path.read_bytes() for path in folder.glob("?" * 32 + ".rows")}
    assert len(whole) == 2
    for path in whole:
        os.truncate(path, left)
    open_dataset(stream_folder).stream(by="frame")
    assert {path: path.read_bytes() for path in folder.glob("*.rows") if path in whole} == whole


def test_a_selection_is_on_the_disk_before_it_has_its_name(
    stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = open_dataset(stream_folder)
    fsync, safe = os.fsync, {}

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        stat = os.fstat(descriptor)
        safe[stat.st_ino] = stat.st_size

    monkeypatch.setattr(os, "fsync", noting)
    selection = dataset.stream().source.selection
    stat = (selection.index.folder / f"{selection.digest}.rows").stat()
    assert safe[stat.st_ino] == stat.st_size
    assert stat.st_size == np.asarray(selection.rows).nbytes


def test_whole_splits_are_laid_out_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {by: dataset.stream(by=by).source.selection for by in ("sample", "frame")}
    folder = wanted["sample"].index.folder
    with monkeypatch.context() as patch:
        patch.setattr(selection, "_cell_rows", None)  # it would be called otherwise
        for by, first in wanted.items():
            again = dataset.stream(by=by).source.selection
            assert again.digest == first.digest
            assert again.rows.tolist() == first.rows.tolist()
            assert again.shard_units().tolist() == first.shard_units().tolist()
    for damage in (b"", b"x", seal(b'["../x", null]', "x")):
        for note in folder.glob("*.whole"):
            note.write_bytes(damage)
        assert dataset.stream().source.selection.digest == wanted["sample"].digest
    for rows in folder.glob("*.rows"):
        rows.unlink()
    assert dataset.stream(by="frame").source.selection.digest == wanted["frame"].digest
