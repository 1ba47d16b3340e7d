"""Reports, cards and Croissant of other variants: sections come from the fields, and a field that lacks has none."""

import gc
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pyarrow.parquet as pq
import pytest

from pipeline.demo import make_demo
from pipeline.report.columns import columns_of
from pipeline.report.difference import compare_reports
from pipeline.report.page import Report, make_report
from pipeline.report.render import render
from pipeline.report.snippets import snippets
from pipeline.sources.sysu30k import SYSU30K
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from shards_spec.variants import Variant, register
from shards_spec.variants.fields import ImageSize, Roi
from shards_spec.verify.description import manifest_faults
from tests.pipeline.sources.toy_variant import PAIRS, Pair
from tests.support.pages import Page
from tests.support.processes import run_command
from tests.support.sets import convert_source
from tests.support.source import frame_image
from tests.support.written_sets import WrittenSample, write_set


class Portrait(msgspec.Struct, frozen=True, kw_only=True):
    """The sidecar."""

    spec: str
    image: str
    identity: str | None
    """Whom it shows."""
    lens: Annotated[int, msgspec.Meta(ge=0, le=100)] | None
    """Number of the camera."""
    kind: Literal["labelled", "distractor"] | None
    """Whether somebody knows `who` it is."""
    age: int | None
    """In years."""
    person_id: int
    image_size: ImageSize
    roi: Roi
    splits: dict[str, list[str]]


PORTRAITS = Variant(
    name="portraits",
    title="portraits",
    sidecar=Portrait,
    keys=lambda portrait: (portrait.image,),
    files=("jpg",),
    image="jpg",
    identity_field="identity",
    camera_field="lens",
    accounts=("portraits",),
    samples_account="portraits",
)
register(PORTRAITS)
PROTOCOLS = {"p1": {"gallery": ["p1-gallery"], "query": ["p1-query"], "train": ["p1-train"]}}


def portrait(number: int, split: str) -> WrittenSample:
    known = number % 5 > 0
    sidecar = Portrait(
        spec="1.0",
        image=f"{split}{number:03d}",
        identity=f"who{number % 4}" if known else None,
        lens=number % 3 if number % 7 else None,
        kind="labelled" if known else ("distractor" if number % 2 else None),
        age=20 + number % 40 if number % 3 else None,
        person_id=number,
        image_size=(20 + number, 60),
        roi=(0, 0, 20 + number, 60),
        splits={"p1": [split]},
    )
    return WrittenSample(f"{split}{number:03d}", sidecar, {"jpg": frame_image(number, (20 + number, 60))})


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("portraits") / "set"
    cells = {f"p1-{split}": [portrait(number, split) for number in range(30)] for split in PROTOCOLS["p1"]}
    write_set(out, PORTRAITS, cells, PROTOCOLS)
    return out


@pytest.fixture(scope="module")
def report(portraits: Path) -> Report:
    return make_report(LocalStore(portraits), images=True)


def test_the_fixture_is_a_sound_set(portraits: Path) -> None:
    manifest = read_manifest(LocalStore(portraits))
    assert list(manifest_faults((portraits / "dataset.json").read_bytes(), manifest)) == []


def test_sections_follow_from_the_fields(report: Report) -> None:
    columns = columns_of(PORTRAITS)
    assert (columns.identity, columns.camera, columns.group, columns.time) == ("identity", "lens", "identity", None)
    assert list(columns.categories) == ["kind"]
    assert list(columns.numbers) == ["age"]
    assert [one.name for one in report.distributions] == ["height", "width", "aspect", "bytes", "age", "crops", "seen"]
    page = Page(render("report", report=report))
    assert page.bare == []
    text = " ".join(page.texts)
    for expected in (
        "Portraits in WebDataset shards",
        "Whether somebody knows who it is.",
        "Identity who",
        "In years.",
    ):
        assert expected in text
    assert "Group " not in text
    assert "Boxes that reach beyond" not in text


def test_nulls_are_counted_as_unknown(report: Report, portraits: Path) -> None:
    rows = [row for index in portraits.glob("*/index.parquet") for row in pq.read_table(index).to_pylist()]
    page = Page(render("report", report=report))
    found = {number.name: number.value for number in page.numbers}
    unknown = sum(row["kind"] is None for row in rows)
    assert found["category_unknown.kind"] == unknown > 0
    assert found["category.kind.labelled"] == sum(row["kind"] == "labelled" for row in rows)
    assert found["age.left_out"] == sum(row["age"] is None for row in rows) > 0
    assert found["identities"] == len({row["identity"] for row in rows} - {None})
    assert found["cameras"] == len({row["lens"] for row in rows} - {None}) == 3
    assert found["camera.-1.samples"] == sum(row["lens"] is None for row in rows) > 0
    queries = [row for row in rows if row["splits_p1"] == ["query"] and row["identity"] is not None]
    assert found["matching.p1.queries"] == len(queries)
    assert any("unknown" in text for text in page.texts)


def test_where_no_camera_is_known_a_query_is_only_not_its_own_answer(tmp_path: Path) -> None:
    def sample(number: int, cell: str, splits: list[str]) -> WrittenSample:
        made = portrait(number, cell)
        sidecar = msgspec.structs.replace(made.sidecar, lens=None, splits={"p1": splits})
        return WrittenSample(made.key, sidecar, made.files)

    cells = {
        "p1-gallery": [sample(number, "other", ["gallery"]) for number in range(7)],
        "p1-gallery-query": [sample(number, "both", ["gallery", "query"]) for number in range(12)],
    }
    write_set(tmp_path / "set", PORTRAITS, cells, {"p1": {"gallery": sorted(cells), "query": ["p1-gallery-query"]}})
    report = make_report(LocalStore(tmp_path / "set"), images=True)
    (matching,) = report.matching
    assert (matching.queries, matching.same_camera) == (9, None)
    rows = [row for index in tmp_path.glob("*/*/index.parquet") for row in pq.read_table(index).to_pylist()]
    answers = [
        sum(one["identity"] == query["identity"] and one["key"] != query["key"] for one in rows)
        for query in rows
        if query["identity"] is not None and "query" in query["splits_p1"]
    ]
    assert matching.positives is not None
    assert matching.positives.mean == pytest.approx(sum(answers) / len(answers))
    text = " ".join(Page(render("report", report=report)).texts)
    assert "No camera is known, so that each other gallery crop" in text
    for group in report.groups:  # no frames: each identity stands in its one view
        assert [len(found) for _, found in group.people] == [1] * len(group.people)


def run_code(report: Report) -> None:
    """Run the Python that a page shows, in this process, where the variant is registered."""
    programs = [code for _, code in snippets(report.url, report.manifest, report.columns) if "import" in code]
    assert len(programs) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the garbage collector
        for program in programs:
            exec(program, {})
        gc.collect()


@pytest.mark.slow
def test_the_code_for_a_weakly_labelled_set_runs(tmp_path: Path) -> None:
    make_demo(tmp_path / "source", source="sysu30k", images=600, workers=1)
    convert_source(SYSU30K, tmp_path / "source", tmp_path / "set", SYSU30K.make_options({}))
    report = make_report(LocalStore(tmp_path / "set"), images=True)
    assert report.faults == []
    assert Page(render("report", report=report)).bare == []
    assert any("16 folders" in about for about, _ in snippets(report.url, report.manifest, report.columns))
    run_code(report)


def pairs(out: Path) -> None:
    samples = [
        WrittenSample(
            f"n{number:02d}",
            Pair(spec="1.0", name=f"n{number:02d}", identity=None, camera=None, splits={"p1": ["all"]}),
            {"txt": b"note", "bin": bytes(number)},
        )
        for number in range(12)
    ]
    write_set(out, PAIRS, {"p1-all": samples}, {"p1": {"all": ["p1-all"]}})


def test_a_set_without_images_and_people_has_a_page_without_them(tmp_path: Path) -> None:
    pairs(tmp_path / "set")
    report = make_report(LocalStore(tmp_path / "set"), images=True)
    page = Page(render("report", report=report))
    ids = [attributes.get("id") for tag, attributes in page.tags if tag == "section"]
    assert "pictures" not in ids
    assert page.bare == []
    found = {number.name: number.value for number in page.numbers}
    assert "identities" not in found
    assert "cameras" not in found
    assert found["bytes.high"] == 4 + 11
    assert 'sample["txt"]' in "".join(page.texts)
    run_code(report)


def test_sets_of_different_variants_are_compared(tmp_path: Path, portraits: Path, report: Report) -> None:
    pairs(tmp_path / "set")
    stores = LocalStore(portraits), LocalStore(tmp_path / "set")
    difference = compare_reports(stores, (report, make_report(stores[1], images=False)))
    assert {one.name: one.count for one in difference.samples if one.count} == {"first": 90, "second": 12}
    page = Page(render("difference", difference=difference))
    assert page.bare == []
    assert ("change.samples", -78.0, "-78") in [(number.name, number.value, number.text) for number in page.numbers]


def test_a_variant_that_this_version_does_not_know_is_said(portraits: Path) -> None:
    done = run_command("report", portraits)  # in a process in which nobody registered it
    assert done.returncode == 1
    assert "variant 'portraits', but this version reads '" in done.stderr


@pytest.mark.parametrize("streaming", [True, False])
def test_its_card_loads(portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    import datasets  # noqa: PLC0415

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    found: Any = datasets.load_dataset(str(portraits), streaming=streaming, cache_dir=str(tmp_path))
    for split in ("train", "query", "gallery"):
        rows = [sample["json"] for sample in found[split]]
        assert rows == [
            {**msgspec.to_builtins(one.sidecar), "image_size": [20 + number, 60], "roi": [0, 0, 20 + number, 60]}
            for number in range(30)
            for one in [portrait(number, split)]
        ]
