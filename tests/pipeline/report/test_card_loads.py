"""Hugging Face datasets loads a set by its card: the protocols' splits, with the types that the sidecars have."""

import io
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import datasets
import msgspec
import pytest

from pipeline.report.features import sample_features
from pipeline.report.front_matter import front_matter
from shards_spec.jsons import Ordinal
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from shards_spec.tar import TarWriter
from shards_spec.variants import Variant
from tests.support.source import frame_image


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def load(folder: Path, *config: str, streaming: bool, tmp_path: Path) -> Any:
    return datasets.load_dataset(str(folder), *config, streaming=streaming, cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("config", [[], ["p1"], ["p2"]])
def test_its_splits_hold_what_the_manifest_counts(
    set_folder: Path, tmp_path: Path, config: list[str], streaming: bool
) -> None:
    manifest = read_manifest(LocalStore(set_folder))
    found = load(set_folder, *config, streaming=streaming, tmp_path=tmp_path)
    expected = manifest.protocols[config[0] if config else "p1"]
    assert set(found) == {split for split, cells in expected.items() if cells}
    for split, samples in found.items():
        keys = [sample["__key__"] for sample in samples.cast_column("jpg", datasets.Image(decode=False))]
        assert len(keys) == len(set(keys)) == sum(manifest.cells[cell].samples for cell in expected[split])


@pytest.mark.parametrize("streaming", [True, False])
def test_its_samples_are_those_of_the_shards(set_folder: Path, tmp_path: Path, streaming: bool) -> None:
    from shards_spec import open_dataset  # noqa: PLC0415

    found = load(set_folder, "p2", streaming=streaming, tmp_path=tmp_path)["train"]
    rows = {row["__key__"]: row for row in found.cast_column("jpg", datasets.Image(decode=False))}
    samples = list(open_dataset(set_folder).stream(protocol=2, split="train"))
    assert len(samples) == len(rows)
    for sample in samples:
        row = rows[sample["__key__"]]
        assert row["jpg"]["bytes"] == sample["jpg"]
        assert row["json"] == json.loads(json.dumps(sample["json"]))


class File(msgspec.Struct):
    name: str
    size: int


class Sidecar(msgspec.Struct):
    """A field of each kind that a variant may have."""

    spec: str
    identity: str | None
    camera: Ordinal | None
    kind: Literal["day", "night"]
    weights: list[Annotated[int, msgspec.Meta(ge=0)]]
    box: tuple[float, float, float, float] | None
    is_used: bool
    files: list[File]
    extra: dict[str, str]
    splits: dict[str, list[str]]


VARIANT = Variant(
    name="kinds",
    sidecar=Sidecar,
    keys=lambda _: (),
    files=("jpg", "fbx"),
    image="jpg",
    accounts=("samples",),
    samples_account="samples",
)


def sidecar(place: int) -> Sidecar:
    """The first samples hold nulls and empty lists, as those of a library that infers types must not."""
    if place < 20:
        return Sidecar("1.0", None, None, "day", [], None, False, [], {}, {"p1": ["train"], "p2": []})
    files = [File("a.png", 2**40)]
    splits = {"p1": ["train"], "p2": ["query"]}
    return Sidecar("1.0", "a", 3, "night", [1, 2], (0.5, 1.5, 2.0, 3.0), True, files, {"colour": "red"}, splits)


@pytest.mark.parametrize("streaming", [True, False])
def test_nulls_and_empty_lists_come_first_and_what_follows_has_its_type(tmp_path: Path, streaming: bool) -> None:
    folder = tmp_path / "set"
    (folder / "cell").mkdir(parents=True)
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    for place in range(40):
        tar.add(f"k{place:02d}.jpg", frame_image(place, (20, 10)))
        tar.add(f"k{place:02d}.fbx", b"model %d" % place)
        tar.add(f"k{place:02d}.json", msgspec.json.encode(sidecar(place)))
    tar.finish()
    (folder / "cell" / "cell-000000.tar").write_bytes(buffer.getvalue())
    features = sample_features(VARIANT, ["p1", "p2"])
    files = [{"split": "train", "path": ["cell/*.tar"]}]
    metadata: dict[str, Any] = {
        "configs": [{"config_name": "p1", "default": True, "data_files": files}],
        "dataset_info": [{"config_name": "p1", "features": features}],
    }
    (folder / "README.md").write_text(front_matter(metadata))
    rows = list(load(folder, streaming=streaming, tmp_path=tmp_path)["train"])
    assert [row["fbx"] for row in rows] == [b"model %d" % place for place in range(40)]
    assert all(row["jpg"].size == (20, 10) for row in rows)
    for place, row in enumerate(rows):
        expected = msgspec.to_builtins(sidecar(place))
        del expected["extra"]
        assert row["json"] == json.loads(json.dumps(expected))


def test_words_that_yaml_reads_as_something_else_stay_words() -> None:
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415  # a dependency of datasets

    values: dict[str, Any] = {
        "a": ["no", "null", "1.0", "", '"', "é", "- x", "a: b"],
        "b": {"c": True, "d": 1},
        "e": [{"f": "y", "g": ["on"]}],
    }
    assert yaml.safe_load(front_matter(values).strip("-\n")) == values
