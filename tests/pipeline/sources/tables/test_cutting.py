"""Frames of a table's catalog as samples and rejects, and their comparison with the source."""

import io
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.archives import EntryFault, EntryRequest, FileRequest, TarRequest, Tasks, ZipRequest
from pipeline.options import CommonOptions, CutOptions, OptionGroup, Options
from pipeline.samples import Outcome
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Content, Recipe
from pipeline.sources.tables.catalog.schema import BOXES_SCHEMA, Frame, frame_rows
from pipeline.sources.tables.cutting import FrameConverter
from pipeline.sources.tables.files.files import Container
from shards_spec.errors import SpecError
from shards_spec.images import readable_formats
from shards_spec.rejects import Note, RejectReason
from shards_spec.sidecar import encode_sidecar
from shards_spec.storage import Store
from shards_spec.variants.cut import cut_rules
from shards_spec.variants.tables import BOXES
from shards_spec.variants.tables.boxes import BoxRules
from shards_spec.variants.tables.checks import LabelRules
from shards_spec.verify.shard import SampleRules, check_sample
from tests.support.source import FRAME_SIZE, frame_image

SPLITS = {"p1": ["gallery", "query"]}
IMAGE = frame_image(1)
FRAME = Frame(
    name="cam1/a b.jpg",
    has_own_key=1,
    camera=3,
    group_id=None,
    frame_width=None,
    frame_height=None,
    box_ids=["7", "8", "x-9"],
    person_ids=["5", None, "5"],
    id_kinds=["labelled", "unlabelled", "labelled"],
    boxes=[100.25, 50.5, 30.25, 60.0, 200.0, 40.0, 25.0, 70.0, -5.0, 10.0, 40.0, 80.0],
    extras=['{"age":30}', '{"age":null}', '{"age":31}'],
    archive="files",
    entry="cam1/a b.jpg",
    request=FileRequest("cam1/a b.jpg", len(IMAGE)),
)
PLACE = {"offset": 1, "extent": 2, "compressed_size": 3, "header_size": 5, "crc32": 6, "method": 7}


class OnlyCutting(FrameConverter):
    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        raise NotImplementedError


def recipe(cut: CutOptions = CutOptions(), ids: str = "by_split") -> Recipe:  # noqa: B008 - it is frozen
    options = Options(common=CommonOptions(samples_per_shard=10), cut=cut, own=OptionGroup())
    return Recipe(options=options, choices={"ids": ids}, splits=SPLITS)


def outcome(frame: Frame = FRAME, content: Content = IMAGE, used: Recipe = recipe()) -> Outcome:  # noqa: B008
    result = OnlyCutting().make_samples([frame], [[content]], used)
    assert used.options.cut is not None
    labels = LabelRules(ids_are_shared=used.choices["ids"] == "shared", extra={"age": "int64"})
    rules = SampleRules(variant=BOXES, splits=SPLITS, own=BoxRules(labels=labels, cut=cut_rules(used.options.cut)))
    converter = OnlyCutting()
    if result.samples:
        compare = converter.comparison(frame, [content], used, is_exact=True)
        for sample in result.samples:
            check_sample(sample.key, {"jpg": sample.files[0], "json": encode_sidecar(sample.sidecar)}, rules)
            compare(sample)
    assert len(result.samples) + sum(reject.samples for reject in result.rejects) == frame.samples
    named = {(reject.name, reject.person_id) for reject in result.rejects}
    assert {sample.key for sample in result.samples} == {
        key for key, lost in converter.lost_as(frame).items() if lost not in named
    }
    return result


def test_each_box_becomes_a_sample_named_by_frame_and_box() -> None:
    result = outcome()
    assert result.rejects == []
    keys = [sample.key for sample in result.samples]
    assert [(note, keys.index(key)) for note, key in result.notes] == [(Note.BOX_CLAMPED, 2)]
    assert keys[0].startswith("cam1_ab_b7-")  # a blank is in no key, so the hash is added
    assert len(set(keys)) == 3
    first, second, third = (sample.sidecar for sample in result.samples)
    assert (first.identity, second.identity, third.identity) == ("test-5", None, "test-5")
    assert (first.members, first.extra, second.extra) == (3, {"age": 30}, {"age": None})
    assert third.box == (-5.0, 10.0, 40.0, 80.0)
    assert {sample.sidecar.encoding for sample in result.samples} == {"lossless"}


def test_the_pixels_of_a_losslessly_cut_box_are_the_frames() -> None:
    decoded = np.asarray(Image.open(io.BytesIO(IMAGE)))
    for sample in outcome().samples:
        left, top, width, height = sample.sidecar.roi
        shown = np.asarray(Image.open(io.BytesIO(sample.files[0])))[top : top + height, left : left + width]
        x, y = sample.sidecar.crop[0] + left, sample.sidecar.crop[1] + top
        assert (shown == decoded[y : y + height, x : x + width]).all()


@pytest.mark.parametrize(
    ("frame", "box_id", "key"),
    [
        ("cam1/a.jpg", "7", "cam1_a_b7"),
        ("cam1/a.jpg", "x", r"cam1_a_bx-[0-9a-f]{16}"),  # "b1.jpg" with box "x" and "a.jpg" with "1_bx" might meet
        ("cam1/é.jpg", "7", r"cam1__b7-[0-9a-f]{16}"),
    ],
)
def test_a_key_is_spelled_only_where_no_other_box_can_have_it(frame: str, box_id: str, key: str) -> None:
    one = FRAME._replace(name=frame, box_ids=[box_id])
    assert re.fullmatch(key, one.key(0))
    assert re.fullmatch(r".+-[0-9a-f]{16}", one._replace(has_own_key=0).key(0))


def test_ids_that_are_shared_stand_alone() -> None:
    assert outcome(used=recipe(ids="shared")).samples[0].sidecar.identity == "5"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image", RejectReason.IMAGE_UNDECODABLE),
        (EntryFault(RejectReason.IMAGE_DAMAGED, "its CRC-32 is wrong"), RejectReason.IMAGE_DAMAGED),
    ],
)
def test_a_lost_frame_is_a_reject_for_each_box(content: Content, reason: RejectReason) -> None:
    result = outcome(content=content)
    assert [(reject.reason, reject.name, reject.person_id) for reject in result.rejects] == [
        (reason, "cam1/a b.jpg#7", "5"),
        (reason, "cam1/a b.jpg#8", None),
        (reason, "cam1/a b.jpg#x-9", "5"),
    ]
    assert {reject.where for reject in result.rejects} == {"files:cam1/a b.jpg"}


def test_a_box_outside_its_frame_is_lost_alone() -> None:
    result = outcome(FRAME._replace(boxes=[*FRAME.boxes[:8], 400.0, 10.0, 40.0, 80.0]))
    assert [(reject.reason, reject.name) for reject in result.rejects] == [
        (RejectReason.BOX_OUTSIDE, "cam1/a b.jpg#x-9")
    ]
    assert [sample.sidecar.members for sample in result.samples] == [2, 2]


@pytest.mark.parametrize("size", [(320, 181), (None, 100), (180, 320)])
def test_a_frame_of_another_size_than_labelled_is_lost(size: tuple[int | None, int]) -> None:
    result = outcome(FRAME._replace(frame_width=size[0], frame_height=size[1]))
    assert {reject.reason for reject in result.rejects} == {RejectReason.IMAGE_SIZE_DIFFERS}
    assert len(result.rejects) == 3


def test_a_frame_of_the_labelled_size_is_taken() -> None:
    assert len(outcome(FRAME._replace(frame_width=FRAME_SIZE[0])).samples) == 3


def encoded(kind: str, mode: str = "RGB", **save: Any) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(IMAGE)).convert(mode).save(buffer, kind, **save)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (encoded("PNG"), "reencoded"),
        (encoded("JPEG", progressive=True), "reencoded"),
        (encoded("JPEG", "L"), "lossless"),
        (encoded("JPEG", "CMYK"), "lossless"),
        (encoded("PNG", "P"), "reencoded"),
        *([(encoded("WEBP"), "reencoded")] if "WEBP" in readable_formats() else []),
    ],
)
def test_frames_of_other_kinds_are_cut_too(content: bytes, encoding: str) -> None:
    assert {sample.sidecar.encoding for sample in outcome(content=content).samples} == {encoding}


@pytest.mark.parametrize("cut", [CutOptions(size=(64, 32)), CutOptions(crop="reencode", margin=9, quality=80)])
def test_options_of_cutting_are_followed(cut: CutOptions) -> None:
    assert {sample.sidecar.encoding for sample in outcome(used=recipe(cut)).samples} == {"reencoded"}


def test_an_orientation_is_noted_and_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    result = outcome(content=encoded("JPEG", exif=exif))
    assert (Note.IMAGE_ORIENTED, FRAME.where) in result.notes
    assert {sample.sidecar.frame_size for sample in result.samples} == {FRAME_SIZE}


def test_a_sample_with_other_labels_is_found() -> None:
    sample, other, _ = outcome().samples
    compare = OnlyCutting().comparison(FRAME, [IMAGE], recipe(), is_exact=True)
    for change in ({"person_id": "6"}, {"extra": {"age": 3}}, {"camera": None}, {"splits": {"p1": ["gallery"]}}):
        with pytest.raises(SpecError, match=f"its sidecar says {next(iter(change))}"):
            compare(msgspec.structs.replace(sample, sidecar=msgspec.structs.replace(sample.sidecar, **change)))
    with pytest.raises(SpecError):
        compare(msgspec.structs.replace(sample, files=other.files))


def table_of(frames: Iterable[Frame], container: Container = Container.FOLDER) -> pa.Table:
    rows = []
    for frame in frames:
        row = frame._asdict()
        renamed = {"name": "frame", "box_ids": "box_id", "person_ids": "person_id", "id_kinds": "id_kind",
                   "boxes": "box", "extras": "extra"}  # fmt: skip
        row = {renamed.get(name, name): value for name, value in row.items()}
        row |= {"cell": "p1-gallery-query", "group": None, "samples": frame.samples}
        rows.append({**row, **PLACE, "container": container, "size": len(IMAGE)})
    return pa.Table.from_pylist(rows, BOXES_SCHEMA)


def test_rows_of_a_catalog_are_frames_again() -> None:
    named = FRAME._replace(group_id="g", frame_width=320)
    table = table_of([FRAME, named])
    assert frame_rows(table) == [FRAME, named]
    assert frame_rows(table.slice(0, 0)) == []


def test_entries_are_read_as_their_container_says() -> None:
    size = len(IMAGE)
    requests: dict[Container, EntryRequest] = {
        Container.FOLDER: FileRequest("cam1/a b.jpg", size),
        Container.ZIP: ZipRequest("files", "cam1/a b.jpg", 1, 2, 3, size, crc32=6, method=7),
        Container.TAR: TarRequest("files", offset=1, header_size=5, size=size, header_crc32=6),
    }
    tables = {container: table_of([FRAME], container) for container in requests}
    for container, request in requests.items():
        assert frame_rows(tables[container]) == [FRAME._replace(request=request)]
    mixed = pa.concat_tables(tables.values())
    assert [frame.request for frame in frame_rows(mixed)] == list(requests.values())
