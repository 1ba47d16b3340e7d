import io
from dataclasses import replace

import pytest
from PIL import Image

from pipeline.archives import EntryFault
from pipeline.options import CutOptions
from pipeline.samples import Outcome
from pipeline.sources.city1m.full.frames import Frame
from pipeline.sources.city1m.full.samples import make_samples
from shards_spec.rejects import Note, RejectReason
from shards_spec.sidecar import encode_sidecar
from shards_spec.verify.shard import check_sample
from tests.support import bombs
from tests.support.sets import sample_rules
from tests.support.source import frame_image, frame_name

SPLITS: dict[str, list[str]] = {"p1": ["train"], "p2": []}
IMAGE = frame_image(1)
FRAME = Frame(
    cell="p1-train_p2-none",
    group="0009501",
    samples=2,
    name=frame_name(9501, 2, 3, 7, "night"),
    camera=3,
    time="night",
    archive="Images_2.zip",
    entry="Images_2/a.jpg",
    offset=0,
    extent=0,
    compressed_size=0,
    size=0,
    crc32=0,
    method=0,
    person_ids=[0, 1],
    boxes=[100.25, 50.5, 30.25, 60.0, 200.0, 40.0, 25.0, 70.0],
    depths=[1.5, 2.5],
)


def outcome(
    frame: Frame = FRAME,
    content: bytes | EntryFault = IMAGE,
    *,
    identity_is_global: bool = False,
    options: CutOptions = CutOptions(),  # noqa: B008 - it is frozen
) -> Outcome:
    result = make_samples([frame], [[content]], splits=SPLITS, identity_is_global=identity_is_global, options=options)
    rules = sample_rules(SPLITS, options, identity_is_global=identity_is_global)
    for sample in result.samples:
        check_sample(sample.key, {"jpg": sample.files[0], "json": encode_sidecar(sample.sidecar)}, rules)
        assert Image.open(io.BytesIO(sample.files[0])).size == sample.sidecar.image_size
    assert len(result.samples) + sum(reject.samples for reject in result.rejects) == len(frame.person_ids)
    return result


def test_each_member_becomes_a_sample() -> None:
    result = outcome()
    assert result.rejects == []
    assert [sample.key for sample in result.samples] == [f"{FRAME.name}_p0", f"{FRAME.name}_p1"]
    first = result.samples[0].sidecar
    assert (first.group_id, first.person_id, first.identity) == ("0009501", 0, "0009501-0")
    assert (first.camera, first.time, first.depth, first.members) == (3, "night", 1.5, 2)
    assert first.box == (100.25, 50.5, 30.25, 60.0)
    assert first.frame_size == (320, 180)
    assert first.splits == SPLITS
    assert first.encoding == "lossless"


def test_the_roi_holds_the_frames_pixels() -> None:
    whole = Image.open(io.BytesIO(IMAGE)).convert("RGB")
    for sample in outcome().samples:
        sidecar = sample.sidecar
        left, top, width, height = sidecar.roi
        roi = Image.open(io.BytesIO(sample.files[0])).convert("RGB").crop((left, top, left + width, top + height))
        left, top = left + sidecar.crop[0], top + sidecar.crop[1]
        assert roi.tobytes() == whole.crop((left, top, left + width, top + height)).tobytes()
        x, y, w, h = sidecar.box
        assert (left, top) == (int(x), int(y))
        assert left + width >= x + w > left + width - 1
        assert top + height >= y + h > top + height - 1


def test_global_ids_name_persons_by_themselves() -> None:
    frame = replace(FRAME, person_ids=[17, 4711])
    assert [sample.sidecar.identity for sample in outcome(frame, identity_is_global=True).samples] == ["17", "4711"]


def test_reencoded_crops_are_the_box_and_the_margin() -> None:
    sidecar = outcome(options=CutOptions(crop="reencode", margin=3)).samples[0].sidecar
    assert sidecar.encoding == "reencoded"
    assert sidecar.crop == (97, 47, 37, 67)
    assert sidecar.roi == (3, 3, 31, 61)
    assert sidecar.image_size == (37, 67)


def test_resized_crops_say_where_the_box_lies_now() -> None:
    sidecar = outcome(options=CutOptions(size=(256, 128), margin=10)).samples[0].sidecar
    assert sidecar.encoding == "reencoded"
    assert sidecar.image_size == (128, 256)
    assert sidecar.crop == (90, 40, 51, 81)
    left, top, _, height = sidecar.roi
    assert left <= 10 * 128 / 51 < left + 1
    assert top + height - 1 < 71 * 256 / 81 <= top + height


@pytest.mark.parametrize("crop", ["lossless", "reencode"])
def test_a_box_outside_is_a_reject_and_the_others_stay(crop: str) -> None:
    frame = replace(FRAME, boxes=[*FRAME.boxes[:4], 321.0, 10.0, 20.0, 20.0])
    result = outcome(frame, options=CutOptions(crop=crop))  # type: ignore[arg-type]
    assert [sample.sidecar.members for sample in result.samples] == [1]
    (reject,) = result.rejects
    assert (reject.reason, reject.person_id, reject.name) == (RejectReason.BOX_OUTSIDE, 1, FRAME.name)
    assert reject.where == "Images_2.zip:Images_2/a.jpg"
    assert "320x180" in reject.detail


def test_a_box_partly_outside_is_clamped_and_noted() -> None:
    frame = replace(FRAME, boxes=[-10.5, 150.0, 30.0, 60.0, 300.0, 0.0, 20.0, 20.0])
    result = outcome(frame, options=CutOptions(crop="reencode"))
    assert result.notes == [(Note.BOX_CLAMPED, result.samples[0].key)]
    assert result.samples[0].sidecar.box == (-10.5, 150.0, 30.0, 60.0)
    assert result.samples[0].sidecar.crop == (0, 150, 20, 30)


def test_a_frame_that_could_not_be_read_is_one_reject() -> None:
    result = outcome(content=EntryFault(RejectReason.IMAGE_DAMAGED, "CRC-32 1, not 2"))
    assert [(reject.reason, reject.person_id, reject.detail) for reject in result.rejects] == [
        (RejectReason.IMAGE_DAMAGED, None, "CRC-32 1, not 2")
    ]
    assert [reject.samples for reject in result.rejects] == [2]


def png(mode: str, size: tuple[int, int] = (320, 180)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("crop", ["lossless", "reencode"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", RejectReason.IMAGE_UNDECODABLE),
        (b"no image at all", RejectReason.IMAGE_UNDECODABLE),
        (IMAGE[: len(IMAGE) // 3], RejectReason.IMAGE_UNDECODABLE),
        (IMAGE[:300], RejectReason.IMAGE_UNDECODABLE),
        (png("RGB")[:900], RejectReason.IMAGE_UNDECODABLE),
        (b"GIF89a" + bytes(900), RejectReason.IMAGE_UNDECODABLE),
        (IMAGE.replace(b"\x00\xb4\x01\x40", b"\x27\x10\x27\x10"), RejectReason.IMAGE_TOO_LARGE),
        (bombs.png((14000, 14000), b"\0"), RejectReason.IMAGE_TOO_LARGE),
        (bombs.png((65_501, 180), b"\0" * (3 * 65_501 + 1) * 180), RejectReason.IMAGE_TOO_LARGE),
        (b"\xff\xd8" + bombs.frame_header((300, 65_501), 3), RejectReason.IMAGE_TOO_LARGE),
        (bombs.many_scans(5000, (320, 180)), RejectReason.IMAGE_TOO_LARGE),
        (bombs.many_scans(5000, (320, 180), bombs.SOF0), RejectReason.IMAGE_TOO_LARGE),
        (bombs.second_frame_header(IMAGE, (65000, 65000)), RejectReason.IMAGE_UNDECODABLE),
        (
            bombs.second_frame_header(frame_image(2, progressive=True), (65000, 65000)),
            RejectReason.IMAGE_UNDECODABLE,
        ),
    ],
)
def test_frames_that_are_no_whole_image_are_rejects(content: bytes, reason: RejectReason, crop: str) -> None:
    result = outcome(content=content, options=CutOptions(crop=crop))  # type: ignore[arg-type]
    assert [(reject.person_id, reject.reason) for reject in result.rejects] == [(None, reason)]
    assert result.rejects[0].detail


@pytest.mark.parametrize(
    "content",
    [frame_image(2, progressive=True), png("RGB"), png("L"), png("P"), png("RGBA")],
    ids=["progressive", "png", "gray png", "palette png", "transparent png"],
)
def test_what_the_bitstream_path_does_not_take_goes_through_pixels(content: bytes) -> None:
    assert [sample.sidecar.encoding for sample in outcome(content=content).samples] == ["reencoded"] * 2


def test_frames_made_together_come_out_as_each_by_itself() -> None:
    contents: list[bytes | EntryFault] = [
        IMAGE,
        EntryFault(RejectReason.IMAGE_DAMAGED, "CRC-32 1, not 2"),
        png("RGB"),
        frame_image(2),
        IMAGE[: len(IMAGE) // 3],
        b"no image at all",
        frame_image(2, progressive=True),
        IMAGE,
    ]
    frames = [replace(FRAME, name=frame_name(9501, 2, 3, number, "night")) for number in range(len(contents))]
    for crop in ("lossless", "reencode"):
        options = CutOptions(crop=crop)
        singly = [outcome(frame, content, options=options) for frame, content in zip(frames, contents, strict=True)]
        together = make_samples(
            frames, [[content] for content in contents], splits=SPLITS, identity_is_global=False, options=options
        )
        assert together.samples == [sample for outcome in singly for sample in outcome.samples]
        assert together.rejects == [reject for outcome in singly for reject in outcome.rejects]
        assert together.notes == [note for outcome in singly for note in outcome.notes]
        assert together.rows == [row for row, outcome in enumerate(singly) for _ in outcome.samples]
