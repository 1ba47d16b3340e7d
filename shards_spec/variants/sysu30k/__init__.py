"""The variant ``sysu30k``: person crops with weak labels, taken over from SYSU-30k."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError
from shards_spec.jsons import Count, Ordinal
from shards_spec.keys import path_keys
from shards_spec.manifest import Manifest
from shards_spec.options import CommonOptions
from shards_spec.variants.base import Variant
from shards_spec.variants.fields import ImageSize, Roi, Splits
from shards_spec.variants.sysu30k.bags import BAGS_FILE, check_bags, read_bags_of
from shards_spec.variants.sysu30k.terms import CITATION, LICENSE

DATASET = "SYSU-30k"
"""The dataset's name in the manifest's ``source``."""

LabelLevel = Literal["folder", "identity", "distractor"]
TarParts = Literal["auto", "archives", "pieces"]
SplitsFrom = Literal["auto", "lists", "folders"]

_TEST_FOLDERS = ("query/", "gallery/")
_TEST_IMAGE = re.compile(r"(?:query|gallery)/(?P<folder>[^/]+)/(?:[^/]*_c(?P<camera>[0-9]{1,9})_[^/]*|[^/]+)")


class Sidecar(msgspec.Struct, frozen=True):
    """What is known of a crop. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    image: Annotated[str, Meta(min_length=1)]
    """Path of the image below ``sysu_train_set_all`` or ``sysu_test_set_all``, as spelled."""
    folder: str
    """Name of the folder that the image lies in."""
    label_level: LabelLevel
    """What the folder says of the image. ``folder``: it was found in this folder, in which several persons may be;
    ``identity``: it shows the person of this folder; ``distractor``: it shows none of the persons."""
    identity: str | None
    """Names the person; null in training folders, which are no persons, and for distractors."""
    camera: Ordinal | None
    """Number of the camera, as in the name of a test image; null for training images, whose names do not tell."""
    bags: list[str]
    """Sorted ids of the bags that name the folder; ``bags.json`` has their weak labels."""
    image_size: ImageSize
    """Width and height of the image in pixels."""
    roi: Roi
    """The whole image."""
    encoding: Literal["source", "reencoded"]
    """How the image was made: taken over as it was, or encoded anew because it was no JPEG."""
    splits: Splits
    """Protocol to the sorted splits that the image is in."""


class TarPartsEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from whether the tars are archives of their own or pieces of one that was cut."""

    question: ClassVar[str] = "Are the tars archives of their own, or pieces of one that was cut?"
    meanings: ClassVar[Mapping[str, str]] = {
        "archives": "Each tar is an archive of its own.",
        "pieces": "A file that does not begin like a tar goes on with the one before it.",
    }

    files: Count
    """Tar files; 0 if the dataset was unpacked."""
    beginning_like_a_tar: Count
    """How many of them begin like a tar."""

    def choice(self) -> Literal["archives", "pieces"]:
        """Return ``archives`` if every file begins like a tar."""
        return "archives" if self.beginning_like_a_tar == self.files else "pieces"

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        if not self.files:
            return "There are no tars: the dataset was unpacked."
        return f"Of {self.files:,} tar files, {self.beginning_like_a_tar:,} begin like a tar."


class SplitsFromEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from whether lists or folders say which images are in a split."""

    question: ClassVar[str] = "What decides which images are in a split?"
    meanings: ClassVar[Mapping[str, str]] = {
        "lists": "The lists train.txt, query.txt and gallery.txt.",
        "folders": "The folders that the images lie in.",
    }

    lists: Count
    """How many of ``train.txt``, ``query.txt`` and ``gallery.txt`` were found."""
    lines: Count
    """Lines in them."""

    def choice(self) -> Literal["lists", "folders"]:
        """Return ``lists`` if there are any."""
        return "lists" if self.lists else "folders"

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        if not self.lists:
            return "No list was found."
        return f"{self.lists} of the three lists were found, with {self.lines:,} lines."


class Sysu30kOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of SYSU-30k."""

    tar_parts: TarParts
    """Whether tars are archives of their own or pieces of one; ``auto`` leaves it to the decision of this name."""
    splits_from: SplitsFrom
    """Whether lists or folders say which images are in a split; ``auto`` leaves it to the decision of this name."""


def describe_path(image: str) -> tuple[str, LabelLevel, str | None, int | None]:
    """Return what an image's path below its root says: folder, label level, identity and camera.

    Training images lie in ``0000000001/``; test images in ``query/000028311/`` and ``gallery/000028311/`` with names
    such as ``000028311_c2_2.jpg``; distractors in ``gallery/0000others/`` (https://github.com/wanggrun/SYSU-30k).
    """
    match = _TEST_IMAGE.fullmatch(image) if image.startswith(_TEST_FOLDERS) else None
    if match is None:
        return image.rpartition("/")[0], "folder", None, None
    folder = match["folder"]
    camera = None if match["camera"] is None else int(match["camera"])
    if folder.lower().endswith("others"):
        return folder, "distractor", None, camera
    return folder, "identity", folder, camera


def _keys(sidecar: Sidecar) -> tuple[str, ...]:
    return path_keys(sidecar.image)


def _check_sample(sidecar: Sidecar, _files: Mapping[str, bytes], _rules: Any) -> None:
    folder, level, identity, camera = describe_path(sidecar.image)
    for name, value, expected in (
        ("folder", sidecar.folder, folder),
        ("label_level", sidecar.label_level, level),
        ("identity", sidecar.identity, identity),
        ("camera", sidecar.camera, camera),
        ("roi", sidecar.roi, (0, 0, *sidecar.image_size)),
        ("bags", sidecar.bags, sorted(set(sidecar.bags))),
    ):
        if value != expected:
            raise SpecError(f"{name} is {value!r}, but by the path of its image it is {expected!r}")


def _manifest_faults(manifest: Manifest) -> Iterator[str]:
    if manifest.source.dataset != DATASET:
        yield f"source: dataset is {manifest.source.dataset!r}, but the variant {manifest.variant} is of {DATASET!r}"
    if list(manifest.protocols) != ["p1"]:
        yield f"protocols: are {', '.join(manifest.protocols) or 'none'}, but this variant has p1 alone"


SYSU30K = Variant(
    name="sysu30k",
    title="person crops",
    citation=CITATION,
    license=LICENSE,
    sidecar=Sidecar,
    keys=_keys,
    files=("jpg",),
    image="jpg",
    group_field="folder",
    identity_field="identity",
    camera_field="camera",
    weak_labels={"train": "folder"},
    accounts=("lines", "images"),
    samples_account="images",
    unread_account="lines",
    set_files=(BAGS_FILE,),
    read_set_files=read_bags_of,
    check_rows=check_bags,
    options=(CommonOptions, Sysu30kOptions),
    decisions={"tar_parts": TarPartsEvidence, "splits_from": SplitsFromEvidence},
    check_sample=_check_sample,
    manifest_faults=_manifest_faults,
)
