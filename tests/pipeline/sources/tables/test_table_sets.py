"""Sets of labelled frames and of crops, as they are used: streamed, loaded by other tools, and reported."""

import io
import json
import shutil
import subprocess
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.compare import survey_again
from pipeline.demo import make_demo
from pipeline.report.page import make_report
from pipeline.report.render import render
from pipeline.sources.registry import SOURCES
from shards_spec import open_dataset
from shards_spec.errors import SpecError
from shards_spec.manifest import Manifest
from shards_spec.storage import LocalStore
from shards_spec.stream import Dataset
from shards_spec.verify import verify
from tests.pipeline.crop.jpeg_variants import require
from tests.support.pages import Page
from tests.support.sets import convert_source, edit_manifest


class Made(NamedTuple):
    """A demo and the set that was made of it."""

    source: Path
    out: Path
    manifest: Manifest


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        yield


def make(kind: str, folder: Path, images: int, **given: Any) -> Made:
    source, out = folder / "source", folder / "set"
    make_demo(source, source=kind, images=images, workers=1)
    options = SOURCES[kind].make_options({"samples_per_shard": 20, **given})
    return Made(source, out, convert_source(SOURCES[kind], source, out, options))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make("coco", tmp_path_factory.mktemp("coco"), 30, queries="annotations/queries.csv")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make("boxes-table", tmp_path_factory.mktemp("tables"), 10)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make("crops-folder", tmp_path_factory.mktemp("crops"), 120)


def opened(made: Made) -> Dataset:
    return open_dataset(made.out)


def test_a_query_is_in_query_and_in_gallery_under_one_label(frames: Made) -> None:
    dataset = opened(frames)
    query, gallery = (
        {sample["__key__"]: sample["label"] for sample in dataset.stream(split=split)} for split in ("query", "gallery")
    )
    assert 0 < len(query) < len(gallery)
    assert query.items() <= gallery.items()
    assert dataset.stream(split="query").identities == dataset.stream(split="gallery").identities
    assert len(set(query.values())) == len(query)
    assert -1 not in query.values()


def labelled(made: Made, split: str) -> dict[str, set[str]]:
    """The ids of the boxes of each frame."""
    told = json.loads((made.source / "annotations" / f"{split}.json").read_text())
    names = {image["id"]: image["file_name"] for image in told["images"]}
    boxes = defaultdict(set)
    for one in told["annotations"]:
        boxes[names[one["image_id"]]].add(str(one["id"]))
    return boxes


def test_a_frame_whose_boxes_are_in_several_cells_is_a_unit_in_each(frames: Made) -> None:
    found: dict[str, list[set[str]]] = defaultdict(list)
    for unit in opened(frames).stream(split="gallery", by="frame", decode="rgb"):
        assert {sidecar["members"] for sidecar in unit["json"]} == {len(unit["json"])}
        assert len({json.dumps(sidecar["splits"]) for sidecar in unit["json"]}) == 1
        assert unit["box"].shape == (len(unit["json"]), 4)
        assert unit["camera"] in {1, 2, 3}
        assert unit["frame_size"] == [480, 270]
        found[unit["__key__"]].append({sidecar["box_id"] for sidecar in unit["json"]})
    expected = labelled(frames, "gallery")
    assert {name.split("/", 1)[1]: set().union(*parts) for name, parts in found.items()} == expected
    assert sum(map(len, (part for parts in found.values() for part in parts))) == sum(map(len, expected.values()))
    assert {len(parts) for parts in found.values()} == {1, 2}
    gallery = frames.manifest.protocols["p1"]["gallery"]
    assert sum(frames.manifest.cells[cell].units for cell in gallery) == sum(map(len, found.values()))


def test_group_labels_number_the_groups_of_frames(frames: Made) -> None:
    stream = opened(frames).stream(by="frame", seed=4)
    units = list(stream)
    assert stream.groups == sorted({unit["group_id"] for unit in units})
    assert [stream.groups[unit["group_label"]] for unit in units] == [unit["group_id"] for unit in units]


def test_whoever_is_not_labelled_has_the_label_minus_one_and_no_place_in_identity_batches(
    frames: Made, crops: Made
) -> None:
    for made, split in ((frames, "train"), (frames, "gallery"), (crops, "train"), (crops, "gallery")):
        stream = opened(made).stream(split=split)
        kinds: Counter[str] = Counter()
        for sample in stream:
            sidecar = sample["json"]
            kinds[sidecar["id_kind"]] += 1
            assert (sample["label"] >= 0) == (sidecar["id_kind"] == "labelled")
            if sample["label"] >= 0:
                assert stream.identities[sample["label"]] == sidecar["identity"]
        if split == "gallery":
            assert set(kinds) == ({"labelled", "unlabelled"} if made is frames else {"labelled", "distractor", "junk"})
    every = {sample["json"]["id_kind"] for sample in opened(frames).stream(seed=2).identity_batches(4, 2)}
    assert every == {"labelled"}


def test_identity_batches_over_crops_of_a_folder_mix_cameras(crops: Made) -> None:
    samples = list(opened(crops).stream(seed=1).identity_batches(4, 3))
    assert samples
    for start in range(0, len(samples), 12):
        batch = samples[start : start + 12]
        assert sorted(Counter(sample["label"] for sample in batch).values()) == [3, 3, 3, 3]
        for label in {sample["label"] for sample in batch}:
            cameras = {sample["json"]["camera"] for sample in batch if sample["label"] == label}
            assert len(cameras) == 3  # each person is seen by three cameras, twice


def test_an_identity_is_not_parted_between_shards(crops: Made) -> None:
    (index,) = (crops.out / "p1-train").glob("index.parquet")
    rows = pq.read_table(index, columns=["identity", "shard"]).to_pylist()
    assert len({row["shard"] for row in rows}) > 1
    assert len({(row["identity"], row["shard"]) for row in rows}) == len({row["identity"] for row in rows})


def test_samples_are_chosen_by_further_columns(tables: Made) -> None:
    dataset = opened(tables)
    chosen = list(dataset.stream(where=pc.field("extra_age") > 40))
    every = list(dataset.stream())
    assert 0 < len(chosen) < len(every)
    assert sorted(sample["__key__"] for sample in chosen) == sorted(
        sample["__key__"] for sample in every if (sample["json"]["extra"]["age"] or 0) > 40
    )


def test_a_crop_has_the_pixels_that_jpegtran_cuts_out_of_its_frame(frames: Made) -> None:
    require("jpegtran")
    compared = 0
    for sample in opened(frames).stream(where=pc.field("encoding") == "lossless", shuffle=False):
        sidecar = sample["json"]
        file = frames.source / sidecar["frame"]
        if not file.exists():  # in an archive
            continue
        left, top, width, height = sidecar["crop"]
        cut = subprocess.run(
            ["jpegtran", "-crop", f"{width}x{height}+{left}+{top}", str(file)], capture_output=True, check=True
        ).stdout
        ours, theirs = (np.asarray(Image.open(io.BytesIO(data))) for data in (sample["jpg"], cut))
        np.testing.assert_array_equal(ours, theirs)
        compared += 1
    assert compared > 10


@pytest.mark.parametrize("made", ["tables", "crops"])
def test_other_libraries_load_what_the_card_and_croissant_describe(
    made: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant  # noqa: PLC0415

    one: Made = request.getfixturevalue(made)
    found: Any = datasets.load_dataset(str(one.out), streaming=True, cache_dir=str(tmp_path))
    splits = one.manifest.protocols["p1"]
    assert set(found) == set(splits)
    for split in splits:
        loaded = {row["__key__"]: row["json"] for row in found[split].cast_column("jpg", datasets.Image(decode=False))}
        ours = {sample["__key__"]: sample["json"] for sample in opened(one).stream(split=split)}
        for sidecar in ours.values():
            if not sidecar["extra"]:  # a type without fields has no feature
                del sidecar["extra"]
        assert loaded == ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described = mlcroissant.Dataset(jsonld=str(one.out / "croissant.json"))
        for cell in one.manifest.cells:
            rows = pq.read_table(one.out / cell / "index.parquet").to_pylist()
            records = list(described.records(cell))
            assert len(records) == len(rows)
            assert {record[f"{cell}/key"].decode() for record in records} == {row["key"] for row in rows}


@pytest.mark.parametrize("made", ["frames", "crops"])
def test_a_report_counts_what_the_sidecars_say(made: str, request: pytest.FixtureRequest) -> None:
    one: Made = request.getfixturevalue(made)
    page = Page(render("report", report=make_report(LocalStore(one.out), images=True)))
    assert page.bare == []
    numbers = {number.name: number.value for number in page.numbers}
    rows = [row for index in one.out.glob("*/index.parquet") for row in pq.read_table(index).to_pylist()]
    assert numbers["identities"] == len({row["identity"] for row in rows} - {None})
    for kind, count in Counter(row["id_kind"] for row in rows).items():
        assert numbers[f"category.id_kind.{kind}"] == count
    assert numbers["cameras"] == 3
    queries = [row for row in rows if "query" in row["splits_p1"]]
    assert numbers["matching.p1.queries"] == len(queries)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"a b": "bool"}, "decisions: extra: 'a b' is no name of a column"),
        ({"age.x": "int64"}, "decisions: extra: 'age.x' is no name of a column"),
        ({"age": "int8"}, "decisions: extra: evidence: Invalid enum value 'int8'"),
        ({f"c{number}": "bool" for number in range(65)}, "decisions: extra: 65 columns, but a set has at most 64"),
    ],
)
def test_a_manifest_with_other_columns_than_the_format_allows_is_refused(
    tables: Made, tmp_path: Path, columns: dict[str, str], told: str
) -> None:
    out = Path(shutil.copytree(tables.out, tmp_path / "set"))
    change = {"choice": "columns", "evidence": {"columns": columns}}
    edit_manifest(out, lambda manifest: manifest["decisions"].update(extra=change))
    (fault,) = verify(str(out), workers=1).faults
    assert told in fault.what
    with pytest.raises(SpecError, match="decisions: extra"):
        make_report(LocalStore(out), images=False)


def test_more_lost_frames_than_rejects_explain_are_found(frames: Made, tmp_path: Path) -> None:
    """Rejects of boxes do not name cells, so the number of lost frames has bounds: here there are no rejects."""
    out = Path(shutil.copytree(frames.out, tmp_path / "set"))
    kept = frames.manifest.totals.accounts["frames"].kept
    edit_manifest(
        out, lambda manifest: manifest["totals"]["accounts"]["frames"].update(total=kept + 1, kept=kept, rejected=1)
    )
    told = [fault.what for fault in verify(str(out), workers=1).faults]
    assert told == ["accounts for 0 to 0 rejected frames, but the manifest says 1"]


@pytest.mark.parametrize("made", ["frames", "crops"])
def test_what_plan_announces_is_about_what_is_written(made: str, request: pytest.FixtureRequest) -> None:
    one: Made = request.getfixturevalue(made)
    plan = survey_again(one.manifest, str(one.source))
    read, written = plan.catalog.source.load().sizes(plan.catalog, plan.options)
    assert 0.7 < written.sum() / one.manifest.totals.bytes < 1.4
    assert read == sum(plan.catalog.rows["size"].to_pylist())
