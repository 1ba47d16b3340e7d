"""The variant ``images``: crops that a dataset delivers, taken over as they are."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from shards_spec.errors import SpecError
from shards_spec.jsons import Ordinal
from shards_spec.keys import path_keys
from shards_spec.options import CommonOptions
from shards_spec.rejects import Reject, RejectReason
from shards_spec.variants.base import Variant
from shards_spec.variants.fields import ImageSize, LabelText, PathText, Roi, Splits
from shards_spec.variants.tables.checks import LabelRules, check_labels, label_faults, label_rules
from shards_spec.variants.tables.evidence import (
    CamerasEvidence,
    IdsEvidence,
    LayoutEvidence,
    PathsEvidence,
    SplitsFromEvidence,
)
from shards_spec.variants.tables.extra import ExtraEvidence, Scalar, read_extra
from shards_spec.variants.tables.identity import IdKind
from shards_spec.variants.tables.options import TableOptions


class ImageSidecar(msgspec.Struct, frozen=True):
    """What is known of a crop. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    image: PathText
    """Path of the image below the source's root, as the labels or the folder spell it."""
    person_id: LabelText | None
    """The person, as labelled; null if the labels name none."""
    identity: str | None
    """Names the person across the set: ``<scope>-<person_id>`` with the scope ``train`` or ``test``, or ``<person_id>``
    where ids are shared by all splits; null unless ``id_kind`` is ``labelled``."""
    id_kind: IdKind
    """What the labels say of the person: ``labelled``; ``unlabelled``: not who it is; ``distractor``: none of the
    persons who are looked for; ``junk``: to be left out of evaluations."""
    camera: Ordinal | None
    """Number of the camera; null if it is not known. Cameras with names are numbered: see the decision ``cameras``."""
    group_id: LabelText | None
    """The group that the labels put the image into; null if they name none."""
    image_size: ImageSize
    """Width and height of the image in pixels, as stored: an orientation in its Exif data is not applied."""
    roi: Roi
    """The whole image."""
    encoding: Literal["source", "reencoded"]
    """How the image was made: taken over as it was, or encoded anew because it was no JPEG."""
    splits: Splits
    """Protocol to the sorted splits that the image is in."""
    extra: dict[str, Scalar]
    """Further columns of the table by name; see the decision ``extra``."""


def _keys(sidecar: ImageSidecar) -> tuple[str, ...]:
    return path_keys(sidecar.image)


def _check_sample(sidecar: ImageSidecar, _files: Mapping[str, bytes], rules: LabelRules) -> None:
    check_labels(sidecar, rules)
    whole = (0, 0, *sidecar.image_size)
    if sidecar.roi != whole:
        raise SpecError(f"roi is {list(sidecar.roi)}, but it is the whole image: {list(whole)}")


def _reject_fault(reject: Reject) -> str | None:
    if reject.samples != 1:
        return f"{reject.reason} of {reject.samples} samples, but each reject is of one image"
    if reject.name is None and reject.reason is not RejectReason.ROW_FIELDS:
        return f"{reject.reason} without the name of an image"
    return None


IMAGES = Variant(
    name="images",
    title="person crops",
    sidecar=ImageSidecar,
    keys=_keys,
    files=("jpg",),
    image="jpg",
    identity_field="identity",
    camera_field="camera",
    accounts=("images",),
    samples_account="images",
    read_extra=read_extra,
    options=(CommonOptions, TableOptions),
    decisions={
        "layout": LayoutEvidence,
        "paths": PathsEvidence,
        "splits_from": SplitsFromEvidence,
        "ids": IdsEvidence,
        "cameras": CamerasEvidence,
        "extra": ExtraEvidence,
    },
    rules=label_rules,
    check_sample=_check_sample,
    manifest_faults=label_faults,
    reject_fault=_reject_fault,
)
"""Person crops of re-ID folders, such as Market-1501, and of tables without boxes."""
