"""Crops of a catalog as samples and rejects, and their comparison with the source."""

import io
import json
from collections.abc import Callable

import msgspec
import pyarrow as pa
import pytest
from msgspec.structs import replace
from PIL import Image as Pillow

from pipeline.archives import EntryFault, FileRequest, Tasks
from pipeline.options import CommonOptions, OptionGroup, Options
from pipeline.samples import Outcome
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Content, Recipe
from pipeline.sources.tables.catalog.schema import IMAGES_SCHEMA, Image, image_rows
from pipeline.sources.tables.copying import CropConverter
from pipeline.sources.tables.files.files import Container
from shards_spec.errors import SpecError
from shards_spec.images import readable_formats
from shards_spec.rejects import Note, RejectReason
from shards_spec.sidecar import encode_sidecar
from shards_spec.storage import Store
from shards_spec.variants.tables import IMAGES, IdKind
from shards_spec.variants.tables.checks import LabelRules
from shards_spec.verify.shard import SampleRules, check_sample
from tests.support.source import frame_image

SPLITS = {"p1": ["train"]}
JPEG = frame_image(2, (40, 90))
CROP = Image(
    name="bounding_box_train/0002_c1s1_000451_03.jpg",
    person_id="2",
    id_kind="labelled",
    camera=1,
    group_id=None,
    extra={},
    archive="files",
    entry="bounding_box_train/0002_c1s1_000451_03.jpg",
    request=FileRequest("bounding_box_train/0002_c1s1_000451_03.jpg", len(JPEG)),
    key="bounding_box_train_0002_c1s1_000451_03",
)


class OnlyCopying(CropConverter):
    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        raise NotImplementedError


OPTIONS = Options(common=CommonOptions(samples_per_shard=10), cut=None, own=OptionGroup())
RECIPE = Recipe(options=OPTIONS, choices={"ids": "by_split"}, splits=SPLITS)
RULES = SampleRules(variant=IMAGES, splits=SPLITS, own=LabelRules(ids_are_shared=False, extra={}))


def outcome(crop: Image = CROP, content: Content = JPEG) -> Outcome:
    result = OnlyCopying().make_samples([crop], [[content]], RECIPE)
    for sample in result.samples:
        check_sample(sample.key, {"jpg": sample.files[0], "json": encode_sidecar(sample.sidecar)}, RULES)
        OnlyCopying().comparison(crop, [content], RECIPE, is_exact=True)(sample)
        assert list(OnlyCopying().keys(crop)) == [sample.key]
    assert len(result.samples) + sum(reject.samples for reject in result.rejects) == 1
    return result


def test_a_jpeg_is_taken_over_untouched() -> None:
    (sample,) = outcome().samples
    assert sample.files == (JPEG,)
    assert sample.key == "bounding_box_train_0002_c1s1_000451_03"
    assert (sample.sidecar.identity, sample.sidecar.encoding) == ("train-2", "source")


@pytest.mark.parametrize("kind", [kind for kind in readable_formats() if kind != "JPEG"])
def test_another_format_is_encoded_anew_and_noted(kind: str) -> None:
    buffer = io.BytesIO()
    Pillow.open(io.BytesIO(JPEG)).save(buffer, kind)
    result = outcome(content=buffer.getvalue())
    assert result.samples[0].sidecar.encoding == "reencoded"
    assert result.notes == [(Note.IMAGE_REENCODED, CROP.where)]


def test_whoever_is_not_labelled_has_no_identity() -> None:
    kinds: list[tuple[IdKind, str | None]] = [("distractor", "0"), ("junk", "-1"), ("unlabelled", None)]
    for kind, person_id in kinds:
        crop = replace(CROP, id_kind=kind, person_id=person_id)
        (sample,) = outcome(crop).samples
        assert (sample.sidecar.identity, sample.sidecar.person_id) == (None, person_id)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (JPEG[: len(JPEG) // 2], RejectReason.IMAGE_UNDECODABLE),
        (b"", RejectReason.IMAGE_UNDECODABLE),
        (EntryFault(RejectReason.IMAGE_DAMAGED, "changed"), RejectReason.IMAGE_DAMAGED),
    ],
)
def test_what_cannot_be_taken_is_a_reject(content: Content, reason: RejectReason) -> None:
    (reject,) = outcome(content=content).rejects
    assert (reject.reason, reject.name, reject.samples) == (reason, CROP.name, 1)


def test_a_sample_with_other_labels_or_bytes_is_found() -> None:
    (sample,) = outcome().samples
    compare = OnlyCopying().comparison(CROP, [JPEG], RECIPE, is_exact=True)
    with pytest.raises(SpecError, match="its sidecar says camera 2, but the source 1"):
        compare(replace(sample, sidecar=replace(sample.sidecar, camera=2)))
    with pytest.raises(SpecError, match="are not those of the source"):
        compare(replace(sample, files=(frame_image(3, (40, 90)),)))


def test_rows_of_a_catalog_are_crops_again() -> None:
    other = replace(CROP, person_id=None, id_kind="unlabelled", camera=None, group_id="g", extra={"age": 30})
    place = {"container": Container.FOLDER, "size": len(JPEG), "has_own_key": 1}
    place |= dict.fromkeys(("offset", "extent", "compressed_size", "header_size", "crc32", "method"), 0)
    rows = [
        {**msgspec.structs.asdict(crop), **place, "image": crop.name, "extra": json.dumps(crop.extra)}
        | {"cell": "p1-train", "group": None, "samples": 1}
        for crop in (CROP, other)
    ]
    assert image_rows(pa.Table.from_pylist(rows, IMAGES_SCHEMA)) == [CROP, other]
