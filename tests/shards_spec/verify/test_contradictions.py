"""Sets whose digests are all right, but which say something that cannot be: nothing but the contradiction shows it."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shards_spec.errors import SpecError
from shards_spec.manifest_read import decode_manifest
from shards_spec.rejects import Reject, RejectReason, decode_rejects, encode_rejects
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.variants.city1m import CITY1M, Sidecar
from shards_spec.verify import Fault, verify
from shards_spec.verify import dataset as verify_dataset
from shards_spec.verify.shard import check_shard
from tests.support.altered import Files, alter_manifest, alter_shard
from tests.support.options import city1m_options
from tests.support.sets import edit_manifest, make_set
from tests.support.source import frame_image, frame_name, label_line, mini_source

CELL = "p1-train_p2-train"
SHARD = f"{CELL}/{CELL}-000001.tar"
Change = Callable[[Any], object]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of their own are what ``test_dataset`` is about; here are very many small sets."""
    monkeypatch.setattr(
        verify_dataset, "_check_shards", lambda checks, *_: [fault for fault in map(check_shard, checks) if fault]
    )


@pytest.fixture(scope="module")
def lossy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of which something was lost in every way: a line, frames by label and archive, members by label and box."""
    source = mini_source(6)
    lines = source.labels["train_part1.txt"]
    damaged, empty, outside, missing = (frame_name(group, 2, 1, 1) for group in (91, 92, 93, 94))
    good = (0, (10.0, 10.0, 20.0, 50.0), 2.0)
    zipped = source.archives["Images_2.zip"]
    zipped |= {f"Images_2/{name}.jpg": frame_image(1) for name in (damaged, empty, outside)}
    zipped[f"Images_2/{damaged}.jpg"] = b"no image"
    lines += [label_line(name, [good, (1, (50.0, 10.0, 20.0, 50.0), 3.0)]) for name in (damaged, missing)]
    lines += [
        label_line(empty, [good, (1, (50.0, 10.0, 0.0, 50.0), 3.0)]),
        label_line(outside, [(1, (-50.0, 10.0, 20.0, 50.0), 3.0)]),
        f"{empty}.jpg 1,2",
        label_line(frame_name(95, 2), [(0, (300.0, 10.0, 50.0, 50.0), 2.0)]),
    ]
    zipped[f"Images_2/{frame_name(95, 2)}.jpg"] = frame_image(2)
    root = tmp_path_factory.mktemp("lossy")
    make_set(source.write(root / "source"), root / "set")
    return root / "set"


@pytest.fixture(scope="module")
def resized_folder(source_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("resized")
    make_set(source_folder, out, city1m_options(samples_per_shard=20, size=(64, 32), margin=3))
    return out


@pytest.fixture
def out(set_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(set_folder, tmp_path / "set"))


@pytest.fixture
def lossy(lossy_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lossy_folder, tmp_path / "set"))


@pytest.fixture
def resized(resized_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(resized_folder, tmp_path / "set"))


def faults_of(out: Path) -> list[Fault]:
    return verify(str(out)).faults


def fault_of(out: Path) -> str:
    """The faults of a set that has some, in one text."""
    faults = faults_of(out)
    assert faults
    return "\n".join(f"{fault.file}: {fault.what}" for fault in faults)


@pytest.mark.parametrize("folder", ["set_folder", "lossy_folder", "resized_folder"])
def test_the_sets_are_sound_before(folder: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    copied = Path(shutil.copytree(request.getfixturevalue(folder), tmp_path / "set"))
    alter_manifest(copied)
    assert faults_of(copied) == []


def test_the_lossy_set_has_lost_something(lossy_folder: Path) -> None:
    totals = decode_manifest((lossy_folder / "dataset.json").read_bytes()).totals
    lost = {name: account.rejected for name, account in totals.accounts.items()}
    assert lost == {"lines": 1, "frames": 3, "members": 6}


def first_cell(manifest: Any) -> Any:
    return next(iter(manifest["cells"].values()))


def scope(manifest: Any, choice: str, **evidence: int) -> None:
    decision = manifest["decisions"]["identity_scope"]
    decision["choice"] = choice
    decision["evidence"] |= evidence


def box_order(manifest: Any, **evidence: object) -> None:
    manifest["decisions"]["box_order"]["evidence"] |= evidence


def add(manifest: Any, **rejected: int) -> None:
    """Have accounts count more that was rejected."""
    for name, count in rejected.items():
        for part in ("total", "rejected"):
            manifest["totals"]["accounts"][name][part] += count


NOTHING = {"total": 0, "kept": 0, "rejected": 0}


def noted(count: int, *examples: str) -> Any:
    return {"count": count, "examples": list(examples)}


def note(manifest: Any, **counts: int) -> None:
    """Add notes with one example each, in this order."""
    manifest["notes"] = {name: noted(count, "a") for name, count in counts.items()}


def account(manifest: Any, name: str, **counts: int) -> None:
    """Change an account that added up."""
    manifest["totals"]["accounts"][name] |= counts


def one_member_more_by_scope(manifest: Any) -> None:
    add(manifest, members=1)
    scope(manifest, "group", members=121)


def one_frame_more(manifest: Any) -> None:
    add(manifest, frames=1)
    lines = manifest["totals"]["accounts"]["lines"]
    account(manifest, "lines", total=lines["total"] + 1, kept=lines["kept"] + 1)


def reorder(parent: Any, name: str) -> None:
    parent[name] = dict(reversed(parent[name].items()))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m.update(spec="1.1"), "spec is 1.1, but this version checks 1.0"),
        (lambda m: m["source"].update(dataset="Market-1501"), "dataset is 'Market-1501'"),
        (lambda m: m["source"].update(archives=[]), "names no archives"),
        (lambda m: m["source"].update(labels=[]), "names no labels"),
        (lambda m: m["source"]["archives"].reverse(), "archives are not sorted"),
        (lambda m: m["source"]["archives"].append(m["source"]["archives"][1]), "one twice"),
        (lambda m: m["source"]["archives"][0].update(file="../a.zip"), "not a path below"),
        (lambda m: m["source"]["archives"][0].update(file="/a.zip"), "not a path below"),
        (lambda m: m["source"]["labels"][0].update(file="labels.txt"), "not the name of a label file"),
        (lambda m: m["source"]["labels"].pop(), "not those of its label files"),
        (lambda m: m["source"]["labels"].reverse(), "labels are not sorted"),
        (lambda m: m["options"].update(mood=1), "options: .*mood"),
        (lambda m: m["options"].pop("seed"), "options: .*seed"),
        (lambda m: m["options"].update(margin="0"), "options: .*margin"),
        (lambda m: m["options"].update(margin=-1), "margin is -1, but must be from 0"),
        (lambda m: m["options"].update(seed=2**63), "options: seed"),
        (lambda m: m["options"].update(samples_per_shard=0), "samples_per_shard is 0"),
        (lambda m: m["options"].update(quality=101), "quality is 101"),
        (lambda m: m["options"].update(shuffle="random"), "options: .*shuffle"),
        (lambda m: m["options"].update(size=[0, 5]), r"size is \[0, 5\]"),
        (lambda m: m["options"].update(size=[5]), "options: .*size"),
        (lambda m: reorder(m, "options"), "options: are not in the spec's order"),
        (lambda m: m["options"].update(margin=1), "crop is"),
        (lambda m: m["options"].update(size=[64, 32]), "encoding is 'lossless', which"),
        (lambda m: m["options"].update(crop="reencode"), "encoding is 'lossless', which"),
        (lambda m: m["options"].update(identity_scope="global"), "the options give global"),
        (lambda m: m["options"].update(box_order="xywh"), "the options give xywh"),
        (lambda m: m["versions"].pop("machine"), "versions: "),
        (lambda m: reorder(m, "versions"), "versions: "),
        (lambda m: m["versions"].update(pyarrow=""), "pyarrow is ''"),
        (lambda m: m["versions"].update(msgspec="0.1\n"), "msgspec is"),
        (lambda m: m["decisions"].pop("box_order"), "decisions: are identity_scope"),
        (lambda m: reorder(m, "decisions"), "decisions: are identity_scope, box_order"),
        (lambda m: m["decisions"]["box_order"].update(choice="xyhw"), "is xyhw, but its evidence decides for xywh"),
        (lambda m: box_order(m, odd_as_xywh=10**6), "is xywh, but its evidence decides for xyhw"),
        (lambda m: box_order(m, odd_as_xyhw=10**6), "odd_as_xyhw is 1000000, of"),
        (lambda m: box_order(m, mood=1), "evidence: .*mood"),
        (lambda m: box_order(m, frame_size_probed=False), "neither probed nor"),
        (lambda m: box_order(m, boxes=1, odd_as_xyhw=1), "evidence: counts 1, but"),
        (lambda m: reorder(m["decisions"]["box_order"], "evidence"), "evidence: is not in the spec's order"),
        (lambda m: scope(m, "group", members=10**6), "evidence: counts 1000000, but"),
        (one_member_more_by_scope, "box_order counts 120 members, but identity_scope 121"),
        (lambda m: scope(m, "global"), "is global, but its evidence decides for group"),
        (lambda m: scope(m, "group", distinct_ids=1), "ids_in_several_groups is over distinct_ids"),
        (lambda m: scope(m, "global", ids_not_below_member_count=1, ids_in_several_groups=0), "identity is '0+1-0'"),
        (lambda m: reorder(m, "protocols"), "its protocols are not sorted"),
        (lambda m: reorder(m["protocols"], "p1"), "the splits of p1 are not sorted"),
        (lambda m: m["protocols"]["p1"]["train"].reverse(), "the cells of p1 train are not sorted"),
        (lambda m: m["protocols"]["p1"]["train"].insert(0, m["protocols"]["p1"]["train"][0]), "not sorted, each once"),
        (lambda m: m["protocols"]["p1"].update(validation=[]), "not those of its label files"),
        (lambda m: reorder(m, "cells"), "its cells are not sorted"),
        (lambda m: reorder(m, "files"), "its files are not sorted"),
        (lambda m: first_cell(m).update(shards=[]), "has no shards"),
        (lambda m: first_cell(m)["shards"][0].update(samples=1), "samples cannot be of|add up"),
        (lambda m: first_cell(m)["shards"][0].update(bytes=1023), "a tar of .* samples is not of 1023 bytes"),
        (lambda m: m["cells"][CELL]["shards"][-1].update(file=f"{CELL}/{CELL}-000009.tar"), "8 numbers of shards"),
        (lambda m: account(m, "lines", total=10, kept=10), "lines: says 10, but there are at least"),
        (lambda m: account(m, "lines", kept=1), "account lines: 1 kept and 0 rejected are not"),
        (
            lambda m: account(m, "members", total=119, kept=119),
            "members: 119 kept, but the set has 120 samples",
        ),
        (lambda m: account(m, "frames", total=1, kept=1), "account frames: 1 kept, but the set has .* units"),
        (lambda m: m["totals"]["accounts"].pop("frames"), "its accounts are lines, members, not lines, frames"),
        (lambda m: m["totals"]["accounts"].update(images=NOTHING), "its accounts are .*images"),
        (lambda m: first_cell(m).update(shuffle="units"), "its shuffle is units, but auto means none"),
        (lambda m: m["cells"][CELL].update(shuffle="none"), "its shuffle is none, but auto means groups"),
        (lambda m: note(m, repeated_line=10**6), "lines: says .* but there are at least"),
        (lambda m: note(m, mood=1), "there is no note 'mood'"),
        (lambda m: m["notes"].update(image_unlabelled=noted(1, "a", "b")), "image_unlabelled is 1, but has 2 examples"),
        (lambda m: m["notes"].update(image_unlabelled=noted(3, "a", "a")), "image_unlabelled is 3.* or one twice"),
        (lambda m: note(m, byte_order_mark=99), "byte_order_mark is 99"),
        (lambda m: note(m, member_count_differs=10**6), "member_count_differs is"),
        (lambda m: note(m, image_unlabelled=1, blank_line=1), "notes are not sorted"),
        (lambda m: note(m, box_clamped=3), "box_clamped is 3, but 0 samples"),
        (lambda m: m["rejects"].update(box_empty=1), "counts by reason"),
    ],
)
def test_a_manifest_that_says_what_cannot_be(out: Path, change: Change, what: str) -> None:
    edit_manifest(out, change)
    with pytest.raises(AssertionError, match=what):  # the text of all faults, to be matched over lines
        raise AssertionError(fault_of(out))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(plan_digest=m["plan_digest"].upper()),
        lambda m: m.update(plan_digest=f"{m['plan_digest']}\n"),
        lambda m: m.update(plan_digest="1"),
        lambda m: m["source"]["archives"][0].update(bytes=-1),
        lambda m: m["source"]["labels"][0].update(sha256="?"),
        lambda m: m["totals"].update(units=1.5),
        lambda m: m["notes"].update(box_clamped=noted(-1, "a")),
        lambda m: m["notes"].update(box_clamped=noted(0, "a")),
        lambda m: m["notes"].update(box_clamped=noted(1)),
        lambda m: m["notes"].update(box_clamped=noted(9, *"abcdef")),
        lambda m: m["notes"].update(box_clamped=noted(1, "a" * 301)),
        lambda m: m["notes"].update(box_clamped=1),
    ],
)
def test_fields_that_do_not_have_their_form(out: Path, change: Change) -> None:
    edit_manifest(out, change)
    with pytest.raises(SpecError, match=r"dataset\.json is damaged"):
        verify(str(out))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: add(m, lines=1), "accounts for 1 rejected lines, but .* 2"),
        (lambda m: add(m, members=1), "accounts for 6 rejected members, but .* 7"),
        (one_frame_more, "for 3 rejected frames, but .* 4"),
        (lambda m: m["notes"].pop("box_clamped"), "box_clamped is 0, but 1 samples"),
        (lambda m: m["rejects"].update(box_empty=2), "counts by reason"),
    ],
)
def test_totals_that_the_rejects_do_not_account_for(lossy: Path, change: Change, what: str) -> None:
    edit_manifest(lossy, change)
    with pytest.raises(AssertionError, match=what):
        raise AssertionError(fault_of(lossy))


def replaced(reason: RejectReason, **changes: object) -> Callable[[list[Reject]], list[Reject]]:
    def change(rejects: list[Reject]) -> list[Reject]:
        assert any(reject.reason == reason for reject in rejects)
        return [msgspec.structs.replace(r, **changes) if r.reason == reason else r for r in rejects]

    return change


def more(reason: RejectReason, name: str, person_id: int | None) -> Callable[[list[Reject]], list[Reject]]:
    return lambda rejects: [*rejects, Reject(reason, "train_part1.txt:1", name, person_id, 1, "")]


EMPTY, OUTSIDE, MISSING = RejectReason.BOX_EMPTY, RejectReason.BOX_OUTSIDE, RejectReason.IMAGE_MISSING
WRITTEN = frame_name(1, 3, 2, 0)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (replaced(EMPTY, samples=2), "box_empty does not go with person_id 1 and 2 samples"),
        (replaced(EMPTY, person_id=None), "box_empty does not go with person_id None"),
        (replaced(MISSING, person_id=1), "image_missing does not go with person_id 1"),
        (replaced(MISSING, samples=0), "image_missing does not go with person_id None and 0"),
        (replaced(RejectReason.LINE_FIELDS, samples=1), "line_fields does not go with"),
        (replaced(EMPTY, name=None), "box_empty without the name of a frame"),
        (replaced(MISSING, name="x"), "'x' is not the name of a frame"),
        (replaced(MISSING, where="elsewhere.txt:3"), "where is 'elsewhere.txt:3', which is in no file"),
        (replaced(MISSING, where="train_part1.txt:"), "which is in no file"),
        (replaced(MISSING, name=WRITTEN), f"frame {WRITTEN} is rejected, but has samples"),
        (replaced(EMPTY, person_id=0), "_p0 is rejected, but is a sample"),
        (more(MISSING, frame_name(91, 2, 1, 1), None), "is rejected more than once"),
        (more(MISSING, frame_name(99, 2), None), "accounts for 4 rejected frames, but the manifest says 3"),
        (lambda rejects: [r for r in rejects if r.reason != OUTSIDE], "for 2 rejected frames, but .* says 3"),
    ],
)
def test_rejects_that_contradict_the_samples_or_themselves(
    lossy: Path, change: Callable[[list[Reject]], list[Reject]], what: str
) -> None:
    path = lossy / "rejects.jsonl"
    path.write_bytes(encode_rejects(change(decode_rejects(path.read_bytes()))))
    alter_manifest(lossy)
    faults = faults_of(lossy)
    assert {fault.file for fault in faults} <= {"rejects.jsonl"}
    with pytest.raises(AssertionError, match=what):
        raise AssertionError(fault_of(lossy))


def test_rejects_in_another_form(lossy: Path) -> None:
    path = lossy / "rejects.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for data in (b"".join(reversed(lines)), b"".join(lines).replace(b'":', b'": '), b"".join(lines) + b"\n"):
        path.write_bytes(data)
        alter_manifest(lossy)
        assert "rejects.jsonl: is not in the spec's form" in fault_of(lossy)


def with_sidecars(change: Callable[[Sidecar], dict[str, object]], count: int = 1) -> Callable[[Files], Files]:
    """Changes fields of the first sidecars."""

    def apply(files: Files) -> Files:
        for place in range(1, 2 * count, 2):
            name, data = files[place]
            sidecar = decode_sidecar(data, CITY1M)
            files[place] = (name, encode_sidecar(msgspec.structs.replace(sidecar, **change(sidecar))))
        return files

    return apply


def with_image(change: Callable[[Image.Image], Image.Image], **save: object) -> Callable[[Files], Files]:
    """Decodes and encodes the first image again."""

    def apply(files: Files) -> Files:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(files[0][1])) as image:
            change(image).save(buffer, "JPEG", **save)
        return [(files[0][0], buffer.getvalue()), *files[1:]]

    return apply


def moved(rectangle: tuple[int, ...], *by: int) -> tuple[int, ...]:
    return tuple(value + change for value, change in zip(rectangle, by, strict=True))


def whole_frame(files: Files) -> int:
    return int(decode_sidecar(files[1][1], CITY1M).members)


def of_whole_frame(change: Callable[[Sidecar], dict[str, object]]) -> Callable[[Files], Files]:
    return lambda files: with_sidecars(change, whole_frame(files))(files)


def halve_the_first(files: Files) -> Files:
    """An image of half the width, and a sidecar that says so."""
    files = with_image(lambda image: image.resize((image.width // 2, image.height)), subsampling="4:2:0")(files)
    return with_sidecars(lambda s: {"image_size": (s.image_size[0] // 2, s.image_size[1]), "roi": (0, 0, 1, 1)})(files)


SIDECAR_CHANGES = [
    (with_sidecars(lambda _: {"spec": "1.1"}), "spec is '1.1'"),
    (with_sidecars(lambda s: {"person_id": s.person_id + 9}), "by its sidecar, its key is"),
    (of_whole_frame(lambda s: {"group_id": f"0{s.group_id}"}), "group_id is"),
    (of_whole_frame(lambda s: {"camera": s.camera + 1}), "camera is"),
    (of_whole_frame(lambda s: {"time": "night" if s.time == "day" else "day"}), "time is"),
    (of_whole_frame(lambda s: {"identity": str(s.person_id)}), "identity is '0', but"),
    (of_whole_frame(lambda s: {"identity": f"{s.group_id}-9"}), "identity is"),
    (with_sidecars(lambda s: {"roi": moved(s.roi, 0, 0, -1, 0)}), "roi is"),
    (with_sidecars(lambda s: {"roi": moved(s.roi, 1, 0, -1, 0)}), "roi is"),
    (with_sidecars(lambda s: {"roi": (0, 0, *s.image_size)}), "roi is"),
    (with_sidecars(lambda s: {"crop": moved(s.crop, 1, 0, 0, 0)}), "crop is"),
    (with_sidecars(lambda s: {"crop": moved(s.crop, 0, 0, 0, 1)}), "crop is"),
    (with_sidecars(lambda s: {"image_size": moved(s.image_size, 1, 0)}), "but its sidecar says"),
    (halve_the_first, "image_size is"),
    (with_sidecars(lambda s: {"box": moved_box(s, 1.0)}), "crop is|roi is"),
    (with_sidecars(lambda s: {"box": moved_box(s, 1e6)}), "has no pixel inside the frame"),
    (of_whole_frame(lambda s: {"frame_size": (s.crop[0] + s.crop[2] - 1, 180)}), "crop is|no pixel"),
    (with_sidecars(lambda s: {"frame_size": moved(s.frame_size, 1, 0)}), "differ in frame size"),
    (of_whole_frame(lambda _: {"encoding": "reencoded"}), "crop is"),
    (of_whole_frame(lambda s: {"members": s.members + 1}), "sidecars say"),
    (of_whole_frame(lambda s: {"splits": {"p1": ["query"], "p2": s.splits["p2"]}}), "its splits are"),
    (of_whole_frame(lambda s: {"splits": dict(reversed(s.splits.items()))}), "its splits are"),
    (with_image(lambda image: image, subsampling="4:4:4"), "crop is"),
    (with_image(lambda image: image.convert("L")), "crop is"),
    (with_image(lambda image: image, progressive=True), "not a sequential"),
]


def moved_box(sidecar: Sidecar, by: float) -> tuple[float, ...]:
    return (sidecar.box[0] + by, *sidecar.box[1:])


@pytest.mark.parametrize(("change", "what"), SIDECAR_CHANGES)
def test_a_sidecar_that_says_what_cannot_be(out: Path, change: Callable[[Files], Files], what: str) -> None:
    alter_shard(out, SHARD, change)
    (fault,) = (fault for fault in faults_of(out) if fault.file == SHARD)
    with pytest.raises(AssertionError, match=what):
        raise AssertionError(fault.what)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda s: {"roi": moved(s.roi, 0, 0, -1, 0)}, "roi is"),
        (lambda s: {"roi": (0, 0, *s.image_size)}, "roi is"),
        (lambda s: {"crop": moved(s.crop, 1, 0, -1, 0)}, "crop is"),
        (lambda _: {"encoding": "lossless"}, "encoding is 'lossless', which"),
    ],
)
def test_a_sidecar_of_a_resized_crop(resized: Path, change: Callable[[Sidecar], dict[str, object]], what: str) -> None:
    alter_shard(resized, SHARD, with_sidecars(change))
    (fault,) = faults_of(resized)
    with pytest.raises(AssertionError, match=what):
        raise AssertionError(fault.what)


def test_a_resized_set_without_its_size(resized: Path) -> None:
    edit_manifest(resized, lambda m: m["options"].update(size=None))
    assert "image_size is [32, 64], but by its box" in fault_of(resized)
    edit_manifest(resized, lambda m: m["options"].update(size=[32, 64]))
    assert "image_size is [32, 64], but by its box and the manifest's options it is [64, 32]" in fault_of(resized)


def more_labels(manifest: Any) -> None:
    """Have the labels say enough for what was added."""
    accounts = manifest["totals"]["accounts"]
    accounts["lines"]["total"] += 100
    accounts["lines"]["kept"] += 100
    members = accounts["members"]["total"]
    box_order(manifest, boxes=members)
    manifest["decisions"]["identity_scope"]["evidence"]["members"] = members


def test_a_frame_that_stands_in_two_shards(out: Path) -> None:
    """Its keys differ, so that no key comes back."""
    kept: Files = []

    def take_last_crop(files: Files) -> Files:
        members = decode_sidecar(files[-1][1], CITY1M).members
        kept.extend(files[-2:])
        kept[1] = (kept[1][0], files[-1][1].replace(b'"members":%d' % members, b'"members":1'))
        left = members - 1
        first = len(files) - 2 * members
        return [
            (name, data.replace(b'"members":%d' % members, b'"members":%d' % left) if place >= first else data)
            for place, (name, data) in enumerate(files[:-2])
        ]

    alter_shard(out, f"{CELL}/{CELL}-000000.tar", take_last_crop)
    alter_shard(out, SHARD, lambda files: [*files, *kept])
    edit_manifest(out, more_labels)
    frame = decode_sidecar(kept[1][1], CITY1M).frame
    assert f"dataset.json: frame {frame} stands in more than one shard" in fault_of(out)


def test_a_key_that_stands_in_two_shards(out: Path) -> None:
    kept: Files = []

    def keep_first_frame(files: Files) -> Files:
        kept.extend(files[: 2 * whole_frame(files)])
        return files

    alter_shard(out, f"{CELL}/{CELL}-000000.tar", keep_first_frame)
    alter_shard(out, SHARD, lambda files: [*files, *kept])
    edit_manifest(out, more_labels)
    assert f"key {kept[0][0].removesuffix('.jpg')} stands in the set more than once" in fault_of(out)


def test_statistics_by_which_readers_would_skip_rows(out: Path) -> None:
    path = out / CELL / "index.parquet"
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size :]
    assert footer.count(b"\x03day") > 1
    path.write_bytes(data[: -8 - size] + footer.replace(b"\x03day", b"\x03dbz"))
    assert pq.read_table(path).equals(pq.read_table(io.BytesIO(data)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(out, lambda m: m["cells"][CELL]["index"].update(sha256=digest))
    assert "index.parquet: its statistics of time are not those of its rows" in fault_of(out)


def test_what_other_tools_leave_in_a_set_is_a_note(out: Path) -> None:
    for name in (".gitattributes", f"{CELL}/{CELL}-000000.idx", ".nv-meta/dataset.yaml", ".cache/huggingface/x.lock"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("")
        verdict = verify(str(out))
        assert verdict.faults == []
    assert verdict.notes == [
        "4 files, such as .cache/huggingface/x.lock, are not of this set, but what another tool leaves in one"
    ]


def test_protocols_of_two_digits_are_in_one_order_everywhere(tmp_path: Path) -> None:
    source = mini_source(4, 2)
    source.labels = {file.replace("_part1.", "_part10."): lines for file, lines in source.labels.items()}
    out = tmp_path / "set"
    make_set(source.write(tmp_path / "source"), out)
    assert list(json.loads((out / "dataset.json").read_bytes())["protocols"]) == ["p10", "p2"]
    assert faults_of(out) == []
