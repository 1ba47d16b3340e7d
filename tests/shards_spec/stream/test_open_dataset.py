"""Opening a set, wherever the process is and goes."""

import pickle
from pathlib import Path

import pytest

from shards_spec.errors import UsageError
from shards_spec.stream import Dataset, open_dataset


def test_relative_paths_stay_what_they_were(dataset: Dataset, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frameworks change the working folder between opening and reading."""
    monkeypatch.chdir(copied.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    opened = open_dataset("set", cache="blocks", cache_limit=10**9)
    (copied.parent / "elsewhere").mkdir()
    monkeypatch.chdir(copied.parent / "elsewhere")
    stream = pickle.loads(pickle.dumps(opened.stream()))
    assert [sample["__key__"] for sample in stream] == [sample["__key__"] for sample in dataset.stream()]
    assert opened.urls()[0].startswith(f"{copied}/")
    assert sorted(path.name for path in copied.parent.iterdir()) == ["blocks", "caches", "elsewhere", "set"]
    assert not list(Path.cwd().iterdir())


def test_without_a_home_the_cache_must_be_named(stream_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(UsageError, match="name a folder in XDG_CACHE_HOME"):
        open_dataset(stream_folder)


def test_no_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an empty path"):
        open_dataset("")
    with pytest.raises(UsageError, match="there is no folder /nowhere: check the name"):
        open_dataset("/nowhere")
    with pytest.raises(UsageError, match=r"no dataset\.json there"):
        open_dataset(tmp_path)
