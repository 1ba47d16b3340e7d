"""Hugging Face datasets loads a set by its card: the protocols' splits, with the types that the sidecars have."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import datasets
import msgspec
import pytest

from pipeline.report.front_matter import front_matter
from shards_spec.jsons import Ordinal
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from shards_spec.variants import Variant, register
from shards_spec.variants.fields import Box
from tests.support.source import frame_image
from tests.support.written_sets import WrittenSample, write_set


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
    box: Box | None
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


register(VARIANT)
CELLS = {"p1-train": range(10), "p1-train_p2-query": range(10, 40)}
PROTOCOLS = {"p1": {"train": [*CELLS]}, "p2": {"query": ["p1-train_p2-query"], "gallery": []}}


def sidecar(place: int) -> Sidecar:
    """The first samples of each cell hold nulls and empty lists, as those of a library that infers types must not."""
    splits = {"p1": ["train"], "p2": ["query"] if place >= 10 else []}
    if place < 20:
        return Sidecar("1.0", None, None, "day", [], None, False, [], {}, splits)
    files = [File("a.png", 2**40)]
    return Sidecar("1.0", "a", 3, "night", [1, 2], (0.5, 1.5, 2.0, 3.0), True, files, {"colour": "red"}, splits)


@pytest.fixture(scope="module")
def nulls_first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nulls")
    cells = {
        cell: [
            WrittenSample(
                f"k{place:02d}", sidecar(place), {"jpg": frame_image(place, (20, 10)), "fbx": b"model %d" % place}
            )
            for place in places
        ]
        for cell, places in CELLS.items()
    }
    write_set(out, VARIANT, cells, PROTOCOLS)
    return out


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("config", "split"), [([], "train"), (["p2"], "query")])
def test_nulls_and_empty_lists_come_first_and_what_follows_has_its_type(
    nulls_first: Path, tmp_path: Path, config: list[str], split: str, streaming: bool
) -> None:
    found = load(nulls_first, *config, streaming=streaming, tmp_path=tmp_path)
    assert [*found] == [split]
    places = [place for cell in PROTOCOLS[config[0] if config else "p1"][split] for place in CELLS[cell]]
    rows = list(found[split])
    assert [row["fbx"] for row in rows] == [b"model %d" % place for place in places]
    assert all(row["jpg"].size == (20, 10) for row in rows)
    for place, row in zip(places, rows, strict=True):
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
