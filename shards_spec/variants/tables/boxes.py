"""The variant ``boxes``: crops that were cut out of frames by labelled boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError
from shards_spec.jsons import Length, Ordinal
from shards_spec.keys import path_keys
from shards_spec.manifest import Manifest
from shards_spec.options import CommonOptions, CutOptions, read_options
from shards_spec.rejects import Reject, RejectReason
from shards_spec.variants.base import Variant
from shards_spec.variants.cut import CutRules, check_cut, cut_rules
from shards_spec.variants.fields import Box, Crop, FrameSize, ImageSize, LabelText, PathText, Roi, Splits
from shards_spec.variants.tables.checks import LabelRules, check_labels, label_faults, label_rules
from shards_spec.variants.tables.evidence import (
    BoxFormatEvidence,
    CamerasEvidence,
    CategoryEvidence,
    IdsEvidence,
    PathsEvidence,
    PersonFieldEvidence,
    SplitsFromEvidence,
)
from shards_spec.variants.tables.extra import ExtraEvidence, Scalar, read_extra
from shards_spec.variants.tables.identity import IdKind
from shards_spec.variants.tables.options import TableOptions

_BOX_MARK = "#"


class BoxSidecar(msgspec.Struct, frozen=True):
    """What is known of a crop. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    frame: PathText
    """Path of the frame that the crop was cut from, below the source's root and as the labels spell it."""
    box_id: Annotated[str, Meta(min_length=1, max_length=250, pattern="^[^#]*$")]
    """What names the box in its frame: the annotation's id, or its number among the boxes of the frame, from 0."""
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
    """The group that the labels put the frame into; null if they name none."""
    box: Box
    """Left, top, width and height in pixels of the frame, as labelled; the box may reach beyond the frame."""
    frame_size: FrameSize
    """Width and height of the frame in pixels, as stored: an orientation in its Exif data is not applied."""
    crop: Crop
    """The part of the frame that the image shows, in pixels of the frame."""
    image_size: ImageSize
    """Width and height of the image in the shard; they differ from those of ``crop`` only where crops were resized."""
    roi: Roi
    """Where the box, rounded outwards and clamped to the frame, lies in the image. Readers cut this part out."""
    encoding: Literal["lossless", "reencoded"]
    """How the image was made: cut in the bitstream, or encoded anew."""
    members: Length
    """Number of samples of this frame in the same cell."""
    splits: Splits
    """Protocol to the sorted splits that the box is in."""
    extra: dict[str, Scalar]
    """Further columns of the table by name; see the decision ``extra``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRules:
    """What the check of a sample must know of the manifest."""

    labels: LabelRules
    cut: CutRules


def lost_box_name(frame: str, box_id: str) -> str:
    """Return the name that a reject has for a box: ``<frame>#<box id>``."""
    return f"{frame}{_BOX_MARK}{box_id}"


def _lost_unit(name: str) -> str:
    return name.rpartition(_BOX_MARK)[0]


def _rules(manifest: Manifest) -> BoxRules:
    (options,) = read_options({name: manifest.options[name] for name in CutOptions.__struct_fields__}, [CutOptions])
    return BoxRules(labels=label_rules(manifest), cut=cut_rules(options))


def _keys(sidecar: BoxSidecar) -> tuple[str, ...]:
    return path_keys(sidecar.frame, sidecar.box_id)


def _check_sample(sidecar: BoxSidecar, files: Mapping[str, bytes], rules: BoxRules) -> None:
    check_labels(sidecar, rules.labels)
    check_cut(sidecar, files["jpg"], rules.cut)


def _check_frame(sidecars: Sequence[BoxSidecar]) -> None:
    if any(sidecar.members != len(sidecars) for sidecar in sidecars):
        raise SpecError(f"has {len(sidecars)} crops, but its sidecars say {sidecars[0].members} members")
    if len({sidecar.box_id for sidecar in sidecars}) != len(sidecars):
        raise SpecError("two of its crops have the same box_id")
    if len({(one.frame_size, one.encoding, one.camera, one.group_id) for one in sidecars}) != 1:
        raise SpecError("its sidecars differ in frame size, encoding, camera or group")


def _reject_fault(reject: Reject) -> str | None:
    if reject.samples != 1:
        return f"{reject.reason} of {reject.samples} samples, but each reject is of one box"
    if reject.name is None:
        is_row = reject.reason is RejectReason.ROW_FIELDS
        return None if is_row else f"{reject.reason} without the name of a box"
    return None if _lost_unit(reject.name) else f"{reject.name!r} is not the name of a box"


BOXES = Variant(
    name="boxes",
    title="person crops",
    sidecar=BoxSidecar,
    keys=_keys,
    files=("jpg",),
    image="jpg",
    unit="frame",
    unit_field="frame",
    units_are_per_cell=True,
    shared_fields=("camera", "group_id", "frame_size"),
    array_fields={"box": (float, (4,))},
    group_field="group_id",
    identity_field="identity",
    camera_field="camera",
    accounts=("boxes", "frames"),
    samples_account="boxes",
    units_account="frames",
    read_extra=read_extra,
    options=(CommonOptions, CutOptions, TableOptions),
    decisions={
        "person_field": PersonFieldEvidence,
        "category": CategoryEvidence,
        "box_format": BoxFormatEvidence,
        "paths": PathsEvidence,
        "splits_from": SplitsFromEvidence,
        "ids": IdsEvidence,
        "cameras": CamerasEvidence,
        "extra": ExtraEvidence,
    },
    rules=_rules,
    check_sample=_check_sample,
    check_unit=_check_frame,
    manifest_faults=label_faults,
    reject_fault=_reject_fault,
    lost_unit=_lost_unit,
)
"""Person crops of frames with labelled boxes, such as those of COCO JSON."""
