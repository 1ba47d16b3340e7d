"""Files that are taken over as they are, and their comparison."""

import io
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from pipeline.archives import EntryFault
from pipeline.crop.whole import WholeImage
from pipeline.samples import Outcome, Sample, compare_copy, compare_image, copy_images, copy_samples
from shards_spec.errors import SpecError
from shards_spec.rejects import Note, Reject, RejectReason

FAULT = EntryFault(RejectReason.IMAGE_DAMAGED, "CRC-32 1, not 2")
SIDECAR = SimpleNamespace(name="a", camera=None, box=(1, 2))


class Row(NamedTuple):
    name: str
    where: str = "a.zip:a"

    @property
    def key(self) -> str:
        return f"key-{self.name}"


def test_contents_become_files_and_a_row_with_a_fault_is_lost_as_a_whole() -> None:
    rows = [Row("a"), Row("b", "a.zip:b"), Row("c")]
    outcome = copy_samples(rows, [[b"1", b""], [b"1", FAULT], [b"3"]], lambda row, files: (row.name, len(files)))
    reject = Reject(RejectReason.IMAGE_DAMAGED, "a.zip:b", "b", None, 1, "CRC-32 1, not 2")
    assert outcome == Outcome([0, 2], ["key-a", "key-c"], [("a", 2), ("c", 1)], [(b"1", b""), (b"3",)], [reject])


def test_a_sample_that_is_as_the_source_says_passes() -> None:
    compare_copy(Sample("a", SIDECAR, (b"1", b"2")), {"name": "a", "camera": None, "box": (1, 2)}, "w", [b"1", b"2"])


@pytest.mark.parametrize(
    ("files", "wanted", "contents", "message"),
    [
        ((b"1",), {"name": "b"}, [b"1"], "its sidecar says name a, but the source b"),
        ((b"1",), {"camera": 3}, [b"1"], "its sidecar says camera None, but the source 3"),
        ((b"1",), {"box": (1, 3)}, [b"1"], r"its sidecar says box \[1, 2\], but the source \[1, 3\]"),
        ((b"1",), {}, [b"1", b"2"], "it has 1 files, but the source 2"),
        ((b"1", b"3"), {}, [b"1", b"2"], "the bytes of its file 2 are not those of the source"),
        ((b"1",), {}, [FAULT], "a.zip:a, which it was made from: CRC-32 1, not 2"),
    ],
)
def test_a_difference_is_named(
    files: tuple[bytes, ...], wanted: dict[str, Any], contents: list[bytes | EntryFault], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        compare_copy(Sample("a", SIDECAR, files), wanted, "a.zip:a", contents)


def picture(seed: int, kind: str = "JPEG", **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), np.uint8)
    image, stream = Image.fromarray(pixels).resize((60, 80), Image.Resampling.BICUBIC), io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def describe_image(row: Row, image: WholeImage) -> SimpleNamespace:
    return SimpleNamespace(name=row.name, encoding=image.encoding, size=image.size)


def test_jpegs_stay_as_they_are_and_other_images_are_encoded_anew() -> None:
    jpeg, png = picture(1), picture(2, "PNG")
    contents: list[bytes | EntryFault] = [jpeg, FAULT, png, jpeg[:-300], b"text"]
    rows = [Row(name, f"a.zip:{name}") for name in "abcde"]
    outcome = copy_images(rows, [(content,) for content in contents], describe_image)
    assert (outcome.rows, outcome.keys) == ([0, 2], ["key-a", "key-c"])
    kept, encoded = outcome.samples
    assert (kept.files, kept.sidecar.name, kept.sidecar.encoding) == ((jpeg,), "a", "source")
    assert (encoded.sidecar.name, encoded.sidecar.encoding, encoded.sidecar.size) == ("c", "reencoded", (60, 80))
    assert outcome.notes == [(Note.IMAGE_REENCODED, "a.zip:c")]
    damaged, *undecodable = outcome.rejects
    assert damaged == Reject(FAULT.reason, "a.zip:b", "b", None, 1, FAULT.detail)
    assert [(reject.name, reject.reason) for reject in undecodable] == [
        ("d", RejectReason.IMAGE_UNDECODABLE),
        ("e", RejectReason.IMAGE_UNDECODABLE),
    ]
    compare_image(kept, {"encoding": "source"}, "a.zip:a", jpeg, is_exact=True)
    compare_image(encoded, {"encoding": "reencoded"}, "a.zip:c", png, is_exact=True)


@pytest.mark.parametrize(
    ("kind", "other", "message"),
    [
        ("JPEG", picture(2), "the bytes of its file 1 are not those of the source"),
        ("PNG", picture(2, "PNG"), "by .* levels on average"),
        ("JPEG", FAULT, "which it was made from: CRC-32 1, not 2"),
    ],
)
def test_another_image_is_found_out(kind: str, other: bytes | EntryFault, message: str) -> None:
    made = copy_images([Row("a")], [[picture(1, kind)]], describe_image)
    with pytest.raises(SpecError, match=message):
        compare_image(made.samples[0], {}, "a.zip:a", other, is_exact=False)


def test_an_orientation_is_noted_and_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(1, exif=exif)
    made = copy_images([Row("a")], [[turned]], describe_image)
    assert made.samples[0].files == (turned,)
    assert made.samples[0].sidecar.size == (60, 80)
    assert made.notes == [(Note.IMAGE_ORIENTED, "a.zip:a")]
