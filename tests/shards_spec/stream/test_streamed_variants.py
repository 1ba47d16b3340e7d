"""The reader over a variant with several files, no image, one split, and unknown persons and cameras."""

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.stream import Dataset, open_dataset
from shards_spec.variants.registry import VARIANTS
from tests.support.variant_sets import PARTED, SCANS, WEAK, content, scan, write_scans

PERSONS = ["b", None, "a", None, "b", "a", "c", None, "c", "b"]
SAMPLES = [scan(number, person, None if number % 3 == 0 else number % 2) for number, person in enumerate(PERSONS * 4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scans") / "set"
    write_scans(out, SCANS, SAMPLES)
    return out


@pytest.fixture
def dataset(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return open_dataset(folder)


def test_the_only_split_is_taken_and_samples_have_every_file(dataset: Dataset) -> None:
    samples: list[dict[str, Any]] = list(dataset.stream(shuffle=False))
    assert [list(sample) for sample in samples] == [["__key__", "txt", "bin", "json", "label"]] * len(SAMPLES)
    for sample, expected in zip(samples, SAMPLES, strict=True):
        assert sample["__key__"] == expected.name
        assert sample["txt"] == content(expected, "txt")
        assert sample["bin"] == content(expected, "bin")
        assert sample["json"]["person"] == expected.person
    assert dataset.urls() == dataset.urls(split="all")


def test_unknown_persons_have_the_label_minus_one_and_no_place_in_identities(dataset: Dataset) -> None:
    stream = dataset.stream(seed=3)
    assert stream.identities == ["a", "b", "c"]
    labels = {sample["json"]["person"]: sample["label"] for sample in stream}
    assert labels == {None: -1, "a": 0, "b": 1, "c": 2}


def test_identity_batches_have_known_persons_only_and_take_an_unknown_camera_for_one(dataset: Dataset) -> None:
    batches = list(dataset.stream(seed=1).identity_batches(2, 3))
    assert batches
    assert all(sample["label"] >= 0 for sample in batches)
    for start in range(0, len(batches), 6):
        found = Counter(sample["label"] for sample in batches[start : start + 6])
        assert sorted(found.values()) == [3, 3]
    cameras = dataset.stream().source.selection.index.rows["camera"]
    assert cameras.tolist() == [-1 if one.camera is None else one.camera for one in SAMPLES]
    with pytest.raises(UsageError, match="the selection has 3: take fewer"):
        dataset.stream().identity_batches(4, 1)


def test_selections_see_nulls(dataset: Dataset) -> None:
    import pyarrow.compute as pc  # noqa: PLC0415

    unknown = list(dataset.stream(where=pc.field("person").is_null()))
    assert len(unknown) == sum(one.person is None for one in SAMPLES)
    assert {sample["label"] for sample in unknown} == {-1}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"decode": "rgb"}, 'decode="rgb": the samples of the variant scans have no image'),
        ({"decode": "torch", "size": (8, 8)}, "have no image"),
        ({"by": "frame"}, "by='frame': one of sample"),
        ({"split": "train"}, "split 'train': protocol p1 has all"),
        ({"protocol": 2}, "protocol 2: the set has p1"),
    ],
)
def test_what_the_variant_has_not_is_refused_in_one_line(dataset: Dataset, options: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        dataset.stream(**options)
    assert "\n" not in str(refused.value)


def test_variants_without_identities_have_no_identity_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_scans(tmp_path / "set", PARTED, [scan(0)])
    with pytest.raises(UsageError, match="the samples of the variant parted-scans have no identities"):
        open_dataset(tmp_path / "set").stream().identity_batches(1, 1)


def test_a_process_that_has_not_imported_the_variant_opens_a_pickled_index(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(pickle.dumps(dataset.stream().source.selection.index))
    code = "import pickle, sys; print(len(pickle.loads(open(sys.argv[1], 'rb').read()).rows))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "index")],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{len(SAMPLES)}\n"


def test_a_process_without_the_variant_says_what_to_install(folder: Path, tmp_path: Path) -> None:
    code = "import sys; from shards_spec import open_dataset; open_dataset(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    known = ", ".join(sorted(repr(variant.name) for variant in VARIANTS))
    assert f"variant 'scans', but this version reads {known}: install a newer reid-shards" in done.stderr


def test_labels_of_a_weakly_labelled_split_number_another_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_scans(tmp_path / "set", WEAK, SAMPLES)
    stream = open_dataset(tmp_path / "set").stream(shuffle=False)
    names = sorted(one.name for one in SAMPLES)
    assert (stream.label_names, stream.identities) == (names, [])
    assert [sample["label"] for sample in stream] == [names.index(one.name) for one in SAMPLES]


def test_a_damaged_file_of_several_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_scans(tmp_path / "set", SCANS, SAMPLES)
    (shard,) = (tmp_path / "set").rglob("*.tar")
    data = bytearray(shard.read_bytes())
    data[data.index(content(SAMPLES[5], "bin"))] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ReidShardsError, match="sample scan5: the CRC-32 of its bin is not the index's"):
        list(open_dataset(tmp_path / "set").stream())
    skipping = open_dataset(tmp_path / "set").stream(on_error="skip")
    assert len(list(skipping)) == len(SAMPLES) - 1
