"""City1M-PersonModels does what every kind of source does, and each trap of its demo ends where it should."""

import hashlib
import json
import os
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import webdataset

from pipeline.archives import ArchiveError
from pipeline.demo import make_demo
from pipeline.demo.models.fbx import Card, binary_fbx
from pipeline.report.page import make_report
from pipeline.report.rows import read_rows
from pipeline.shards.convert import convert_shard
from pipeline.shards.tasks import shard_task
from pipeline.sources.city1m.models import PERSON_MODELS
from shards_spec import open_dataset
from shards_spec.errors import UsageError
from shards_spec.manifest import Account
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import LocalStore
from shards_spec.variants.person_models import texture_extensions
from tests.pipeline.sources.source_suite import Converted, SourceSuite, read_traps
from tests.support.notes import note_counts
from tests.support.sets import convert_source, digests, plan_of
from tests.support.source import write_zip

REASONS = {
    "missing texture": RejectReason.TEXTURE_MISSING,
    "empty texture": RejectReason.TEXTURE_MISSING,
    "texture that could be two": RejectReason.TEXTURE_AMBIGUOUS,
    "cut off": RejectReason.MODEL_UNREADABLE,
    "text named FBX": RejectReason.MODEL_UNREADABLE,
    "empty model": RejectReason.MODEL_UNREADABLE,
    "id beyond 46,000": RejectReason.MODEL_ID_UNKNOWN,
    "no id in the name": RejectReason.MODEL_ID_UNKNOWN,
    "one FBX twice": RejectReason.MODEL_REPEATED,
    "symbolic link": RejectReason.IMAGE_UNSUPPORTED,
}
NOTES = {
    "no texture": Note.MODEL_WITHOUT_TEXTURE,
    "texture that no model names": Note.TEXTURE_UNUSED,
    "file that is no model": Note.ENTRY_IGNORED,
}
HARMLESS = frozenset(
    {
        *("backslashes and other case", "FBX of text", "path on another machine alone", "two numbers in the name"),
        *("texture with another extension", "texture in the model", "texture in a model of text"),
    }
)


class TestPersonModels(SourceSuite):
    """See ``SourceSuite``."""

    source = PERSON_MODELS
    given: ClassVar = {"samples_per_shard": 3}
    reasons = REASONS
    notes = NOTES
    harmless = HARMLESS
    recognised = (("00001.fbx",), ("PersonModels.zip",), ("City1M-PersonModels_3.ZIP", "Texture.zip"), ("7.FBX",))
    refused = (("Images_2.zip",), ("sysu_train_set_all_part1.tar",), ("model.txt",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="person-models", images=16, traps=True, workers=1)
        return read_traps(folder)

    def test_each_reject_names_its_trap(self, converted: Converted) -> None:
        planted = {(REASONS[trap["trap"]], trap["path"]) for trap in converted.traps if trap["trap"] in REASONS}
        assert {(reject.reason, reject.name) for reject in converted.rejects} == planted

    def test_notes_count_what_was_planted(self, converted: Converted) -> None:
        assert note_counts(converted.manifest.notes) == dict.fromkeys(NOTES.values(), 1)

    def test_splits_follow_from_ids_and_the_id_from_the_last_number(self, converted: Converted) -> None:
        decision = converted.manifest.decisions["id_number"]
        assert (decision.choice, decision.evidence) == ("last", {"models": 34, "first_known": 30, "last_known": 31})
        dataset = open_dataset(converted.out)
        for split, is_used in (("used", True), ("standby", False)):
            samples = [sample["json"] for sample in dataset.stream(split=split)]
            assert {sample["used"] for sample in samples} == {is_used}
            assert all((sample["model_id"] <= 45_000) == is_used for sample in samples)
            assert dataset.stream(split=split).identities == sorted(str(sample["model_id"]) for sample in samples)
        with pytest.raises(UsageError, match="protocol p1 has standby, used"):
            dataset.stream()

    def test_a_sample_has_the_bytes_of_the_source_and_stock_webdataset_reads_them(self, converted: Converted) -> None:
        dataset = open_dataset(converted.out)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the garbage collector
            urls = dataset.urls(split="used")
            stock = {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False)}
        with zipfile.ZipFile(converted.source / "PersonModels_1.zip") as archive:
            packed = {f"PersonModels_1/{name}": archive.read(name) for name in archive.namelist()}
        for sample in dataset.stream(split="used"):
            files = sample["json"]["files"]
            extensions = ["fbx", *texture_extensions([file["name"] for file in files[1:]])]
            assert list(sample) == ["__key__", *extensions, "json", "label"]
            for file, extension in zip(files, extensions, strict=True):
                data = packed.get(file["name"]) or (converted.source / file["name"]).read_bytes()
                assert sample[extension] == stock[sample["__key__"]][extension] == data
                assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())

    def test_textures_are_found_whatever_the_model_calls_them(self, converted: Converted) -> None:
        path_of = {trap["trap"]: trap["path"] for trap in converted.traps}
        sidecars = {one["json"]["model"]: one["json"] for one in open_dataset(converted.out).stream(split="used")}
        for trap in sorted(HARMLESS):
            textures = [file["name"] for file in sidecars[path_of[trap]]["files"][1:]]
            assert textures == ([] if "in a model" in trap or "in the model" in trap else ["Texture/Skin.png"]), trap
        shared = [sidecar for sidecar in sidecars.values() if sidecar["files"][-1]["name"] == "Texture/ground.png"]
        assert len(shared) == 14

    def test_missing_textures_are_allowed_where_asked_for(self, converted: Converted, tmp_path: Path) -> None:
        options = PERSON_MODELS.make_options({"allow_missing_textures": True})
        manifest = convert_source(PERSON_MODELS, converted.source, tmp_path / "out", options)
        kept = converted.manifest.totals.accounts["models"]
        assert manifest.totals.accounts["models"] == Account(kept.total, kept.kept + 2, kept.rejected - 2)
        assert manifest.notes[Note.TEXTURE_LEFT_OUT].count == 2
        assert RejectReason.TEXTURE_MISSING not in manifest.rejects

    @pytest.mark.skipif(shutil.which("assimp") is None, reason="Debian's assimp-utils is not installed")
    def test_assimp_finds_the_textures_of_a_model_out_of_a_shard(self, converted: Converted, tmp_path: Path) -> None:
        stream = open_dataset(converted.out).stream(split="used", where=pc.field("model_id") == 3)
        (sample,) = stream
        model = unpack(sample, tmp_path)
        assert "Meshes:             3" in assimp_info(model)
        subprocess.run(["assimp", "export", model, model.with_suffix(".obj")], capture_output=True, check=True)
        named = [line.split()[1] for line in model.with_suffix(".mtl").read_text().splitlines() if "map_Kd" in line]
        assert [name.rpartition("\\")[2] for name in named] == ["00003_front.png", "00003_back.png", "ground.png"]
        assert all((model.parent / name.replace("\\", "/")).is_file() for name in named)

    def test_load_dataset_takes_what_every_model_has(self, converted: Converted, tmp_path: Path) -> None:
        loaded: Any = datasets.load_dataset(
            str(converted.out), "p1", split="used", streaming=True, cache_dir=str(tmp_path / "cache")
        )
        by_key = {row["__key__"]: row for row in loaded}
        samples = {one["__key__"]: one for one in open_dataset(converted.out).stream(split="used")}
        assert by_key.keys() == samples.keys()
        for key, row in by_key.items():
            assert row.keys() == {"__key__", "__url__", "fbx", "json"}
            assert (row["fbx"], row["json"]) == (samples[key]["fbx"], samples[key]["json"])

    def test_card_croissant_and_report_tell_of_all_files(self, converted: Converted) -> None:
        card = (converted.out / "README.md").read_text()
        assert "`<key>.fbx` and `<key>.json`, with further files that its sidecar names" in card
        assert "Hugging Face datasets, which leaves out the further files," in card
        assert "decode" not in card  # there are no images to decode
        described = json.loads((converted.out / "croissant.json").read_text())
        fields = {field["name"]: field for field in described["recordSet"][0]["field"]}
        assert fields["more_files_offset"]["isArray"]
        assert fields["files_sha256"]["dataType"] == "sc:Text"
        store = LocalStore(converted.out)
        rows = [row for index in converted.out.glob("*/index.parquet") for row in pq.read_table(index).to_pylist()]
        sizes = [row["fbx_size"] + sum(row["more_files_size"]) for row in rows]
        assert sorted(read_rows(store, converted.manifest).numbers("bytes").tolist()) == sorted(sizes)
        report = make_report(store, images=True)
        assert [one.name for one in report.distributions] == ["bytes", "textures", "crops"]

    def test_unpacked_it_is_the_same(self, converted: Converted, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(converted.source, tmp_path / "source", symlinks=True))
        with zipfile.ZipFile(folder / "PersonModels_1.zip") as archive:
            archive.extractall(folder / "PersonModels_1")
        (folder / "PersonModels_1.zip").unlink()
        convert_source(PERSON_MODELS, folder, tmp_path / "out", PERSON_MODELS.make_options(self.given))
        before, after = digests(converted.out), digests(tmp_path / "out")
        shards = [name for name in before if name.endswith(".tar")]
        assert {name: before[name] for name in shards} == {name: after[name] for name in shards}


ASSIMP_MODELS = Path("/usr/share/assimp/models")
SPIDER = ("drkwood2", "wal67ar_small", "engineflare1", "SpiderTex")


def assimp_info(path: Path) -> list[str]:
    """What assimp says of a model, without times and paths."""
    told = subprocess.run(["assimp", "info", path], capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if ":" in line and "Memory" not in line]


def unpack(sample: dict[str, Any], folder: Path) -> Path:
    """Write the files of a sample to where they were in the source; return the model's path."""
    files = sample["json"]["files"]
    for file, extension in zip(files, ["fbx", *texture_extensions([file["name"] for file in files[1:]])], strict=True):
        path = folder / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample[extension])
    return folder / str(files[0]["name"])


@pytest.mark.skipif(
    shutil.which("assimp") is None or not ASSIMP_MODELS.is_dir(),
    reason="Debian's assimp-utils or assimp-testmodels is not installed",
)
def test_assimp_opens_real_models_out_of_a_shard(tmp_path: Path) -> None:
    """A spider with four textures, two without any, one with its texture inside, and one that lacks its own."""
    source = tmp_path / "source"
    (source / "Texture").mkdir(parents=True)
    for name in SPIDER:
        shutil.copy(ASSIMP_MODELS / f"OBJ/{name}.jpg", source / "Texture" / f"{name}.JPG".upper())
    real = ["spider.fbx", "huesitos.fbx", "box.fbx", "embedded_ascii/box.FBX", "maxPbrMaterial_metalRough.fbx"]
    for number, name in enumerate(real, 1):
        shutil.copy(ASSIMP_MODELS / "FBX" / name, source / f"{number:05d}.fbx")
    manifest = convert_source(PERSON_MODELS, source, tmp_path / "out", PERSON_MODELS.make_options({}))
    assert manifest.rejects == {RejectReason.TEXTURE_MISSING: 1}
    samples = {one["json"]["model_id"]: one for one in open_dataset(tmp_path / "out").stream(split="used")}
    assert {number: one["json"]["textures"] for number, one in samples.items()} == {1: 4, 2: 0, 3: 0, 4: 0}
    assert list(samples[1]) == ["__key__", "fbx", "0.jpg", "1.jpg", "2.jpg", "3.jpg", "json", "label"]
    for number, sample in samples.items():
        path = unpack(sample, tmp_path / "unpacked")
        assert path.read_bytes() == (ASSIMP_MODELS / "FBX" / real[number - 1]).read_bytes()
        assert assimp_info(path) == assimp_info(ASSIMP_MODELS / "FBX" / real[number - 1])
    wanted = [(ASSIMP_MODELS / f"OBJ/{name}.jpg").read_bytes() for name in SPIDER]
    assert [samples[1][f"{number}.jpg"] for number in range(4)] == wanted


def test_ids_may_be_the_first_numbers(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(1, 9):
        (source / f"{number:05d}_v2.fbx").write_bytes(binary_fbx([]))
    options = PERSON_MODELS.make_options({})
    catalog = PERSON_MODELS.survey(LocalStore(source), options)
    assert catalog.decisions["id_number"].choice == "first"
    assert catalog.rows["model_id"].to_pylist() == list(range(1, 9))
    assert [file.file for file in catalog.archives] == ["*"]
    last = PERSON_MODELS.survey(LocalStore(source), PERSON_MODELS.make_options({"id_number": "last"}))
    assert last.decisions["id_number"].evidence == {"given": True}
    assert last.accounts["models"] == Account(8, 1, 7)


def test_what_is_over_the_limits_is_lost_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    (source / "Texture").mkdir(parents=True)
    cards = []
    for number in range(300):
        name = f"{number}.png"
        (source / "Texture" / name).write_bytes(b"x")
        corners = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0))
        cards.append(Card(name, corners, f"Texture/{name}", ""))
    for number, count in ((1, 300), (2, 256), (3, 2)):
        (source / f"model_{number}.fbx").write_bytes(binary_fbx(cards[:count]))
    (source / "model_4.fbx").write_bytes(binary_fbx([]))
    manifest = convert_source(PERSON_MODELS, source, tmp_path / "out", PERSON_MODELS.make_options({}))
    assert (manifest.totals.samples, manifest.rejects) == (3, {RejectReason.MODEL_TOO_LARGE: 1})
    assert len(next(iter(open_dataset(tmp_path / "out").stream(split="used", shuffle=False)))) == 256 + 4
    monkeypatch.setattr("pipeline.sources.city1m.models.survey.MODEL_BYTES", 10_000)
    catalog = PERSON_MODELS.survey(LocalStore(source), PERSON_MODELS.make_options({}))
    assert {reject.name for reject in catalog.rejects} == {"model_1.fbx", "model_2.fbx"}


def test_a_source_without_models_says_what_to_do(tmp_path: Path) -> None:
    options = PERSON_MODELS.make_options({})
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.writestr("inner.zip", b"")
    with pytest.raises(
        UsageError, match=r"no FBX file .*; outer/inner\.zip is a zip in a zip, which is not read: unpack"
    ):
        PERSON_MODELS.survey(LocalStore(tmp_path), options)
    (tmp_path / "1.fbx").write_bytes(b"no model")
    with pytest.raises(UsageError, match=r"nothing to convert: of 1\.fbx, for example: it does not begin like an FBX"):
        PERSON_MODELS.survey(LocalStore(tmp_path), options)


def test_folders_that_are_links_are_named_because_their_models_are_not_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "FBX").mkdir(parents=True)
    (source / "FBX" / "1.fbx").write_bytes(binary_fbx([]))
    for name in ("more", "FBX/again"):
        (source / name).symlink_to(source / "FBX")
    catalog = PERSON_MODELS.survey(LocalStore(source), PERSON_MODELS.make_options({}))
    assert catalog.gaps == [
        f"{name} is a link to a folder, which is not followed: put the folder itself there"
        for name in ("FBX/again", "more")
    ]


def test_a_name_that_is_not_utf8_loses_its_own_model_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder, name in ((b"FBX", b"1.fbx"), (b"FBX", b"\xff2.fbx"), (b"\xff", b"3.fbx")):
        path = Path(os.fsdecode(os.path.join(os.fsencode(source), folder, name)))  # noqa: PTH118
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(binary_fbx([]))
    plan = plan_of(PERSON_MODELS, source, PERSON_MODELS.make_options({}))
    assert [(reject.where, reject.detail) for reject in plan.catalog.rejects] == [
        (r"FBX:\xff2.fbx", "its name is not UTF-8"),
        (r"\xff:3.fbx", "its name is not UTF-8"),
    ]
    write_zip(source / "\udcff.zip", {})
    with pytest.raises(UsageError, match=r"\\xff\.zip: its name is not UTF-8: rename it"):
        PERSON_MODELS.survey(LocalStore(source), PERSON_MODELS.make_options({}))


def test_models_in_folders_of_any_name_are_recognised(tmp_path: Path) -> None:
    assert not PERSON_MODELS.recognises(LocalStore(tmp_path)).is_recognised
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "7.Fbx").touch()
    assert PERSON_MODELS.recognises(LocalStore(tmp_path)) == (True, "a/b/7.Fbx")


def test_a_model_that_changes_after_the_survey_stops_the_conversion(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "1.fbx").write_bytes(binary_fbx([]))
    plan = plan_of(PERSON_MODELS, source, PERSON_MODELS.make_options({}))
    (source / "1.fbx").write_bytes(binary_fbx([])[:-1] + b"\1")
    with pytest.raises(ArchiveError, match=r"\*:1\.fbx: the model has changed since it was surveyed: put the former"):
        convert_shard(shard_task(plan, plan.shards[0]), LocalStore(source), LocalStore(tmp_path))
