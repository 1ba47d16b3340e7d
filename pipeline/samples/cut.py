"""From the bytes of frames to samples and rejects. These are pure functions: they open no file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.archives import EntryFault
from pipeline.crop.frame import Box, FrameCrops, cut_frames
from pipeline.options import CutOptions
from pipeline.samples.frames import Frame
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.sidecar import Sidecar, make_identity, make_key
from shards_spec.version import SPEC_VERSION


class Sample(NamedTuple):
    """A person crop that is ready to go into a shard."""

    key: str
    sidecar: Sidecar
    image: bytes


@dataclass(slots=True)
class FrameOutcome:
    """What became of a frame: each of its members either became a sample or is covered by a reject."""

    samples: list[Sample] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: dict[Note, int] = field(default_factory=dict)


def make_samples(
    frames: Sequence[tuple[Frame, bytes | EntryFault]],
    *,
    splits: dict[str, list[str]],
    identity_is_global: bool,
    options: CutOptions,
) -> Iterator[FrameOutcome]:
    """Cut the members of frames of one cell. Two frames together take less time than one after the other.

    Args:
        frames: Rows of the catalog, each with the frame's file or the reason why it could not be read.
        splits: The sorted splits of the frames' cell, by protocol.
        identity_is_global: Whether a person id alone names an identity.
        options: The options of the conversion.

    Yields:
        What became of each frame, in order.
    """
    boxes = [_boxes(frame) for frame, _ in frames]
    files = [
        (content, own) for (_, content), own in zip(frames, boxes, strict=True) if not isinstance(content, EntryFault)
    ]
    cut = iter(cut_frames(files, options))
    for (frame, content), own in zip(frames, boxes, strict=True):
        result = content if isinstance(content, EntryFault) else next(cut)
        if isinstance(result, FrameCrops):
            yield _make_outcome(frame, own, result, splits, identity_is_global=identity_is_global)
        else:
            lost = len(frame.person_ids)
            yield FrameOutcome(rejects=[Reject(result.reason, frame.where, frame.frame, None, lost, result.detail)])


def _boxes(frame: Frame) -> list[Box]:
    return list(zip(frame.boxes[::4], frame.boxes[1::4], frame.boxes[2::4], frame.boxes[3::4], strict=True))


def _make_outcome(
    frame: Frame, boxes: Sequence[Box], cut: FrameCrops, splits: dict[str, list[str]], *, identity_is_global: bool
) -> FrameOutcome:
    outcome = FrameOutcome()
    if cut.clamped:
        outcome.notes[Note.BOX_CLAMPED] = cut.clamped
    members = sum(crop is not None for crop in cut.crops)
    for person_id, depth, box, crop in zip(frame.person_ids, frame.depths, boxes, cut.crops, strict=True):
        if crop is None:
            width, height = cut.frame_size
            detail = f"box {list(box)} lies outside the frame of {width}x{height} pixels"
            outcome.rejects.append(Reject(RejectReason.BOX_OUTSIDE, frame.where, frame.frame, person_id, 1, detail))
            continue
        sidecar = Sidecar(
            spec=SPEC_VERSION,
            frame=frame.frame,
            group_id=frame.group_id,
            person_id=person_id,
            identity=make_identity(frame.group_id, person_id, is_global=identity_is_global),
            camera=frame.camera,
            time=frame.time,
            depth=depth,
            box=box,
            frame_size=cut.frame_size,
            crop=crop.rectangle,
            image_size=crop.image_size,
            roi=crop.roi,
            encoding=crop.encoding,
            members=members,
            splits=splits,
        )
        outcome.samples.append(Sample(make_key(frame.frame, person_id), sidecar, crop.image))
    return outcome
