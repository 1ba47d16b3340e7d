"""The body of sources whose samples are cut out of frames. These are pure functions: they open no file."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from pipeline.archives import EntryFault
from pipeline.crop.frame import Box, Crop, FrameCrops, FrameFault, cut_frames
from pipeline.options import CutOptions
from pipeline.samples.sample import Outcome
from shards_spec.geometry import is_clamped
from shards_spec.rejects import Note, Reject, RejectReason


class Frame(Protocol):
    """A frame and the boxes to cut out of it."""

    @property
    def name(self) -> str:
        """The frame's name, as rejects have it."""

    @property
    def where(self) -> str:
        """Where the frame lies, in the form that rejects use."""

    @property
    def boxes(self) -> Sequence[float]:
        """Four numbers for each box: x, y, width and height in pixels of the frame, all finite."""

    @property
    def person_ids(self) -> Sequence[int | str | None]:
        """The person in each box."""


FrameRow = TypeVar("FrameRow", bound=Frame)


class Cut(NamedTuple):
    """A crop, and what its sidecar says of its frame."""

    position: int
    """The position of its box among those of the frame."""
    box: Box
    crop: Crop
    frame_size: tuple[int, int]
    """Width and height of the frame in pixels."""
    members: int
    """Number of crops that were cut out of the frame."""


def lose_persons(frame: Frame, position: int | None, reason: RejectReason, detail: str) -> list[Reject]:
    """Return the reject of a box, which names its person, or of a whole frame.

    Args:
        frame: The frame.
        position: The position of the box among those of the frame; None if all are lost.
        reason: Why it is lost.
        detail: The same in words.
    """
    if position is None:
        return [Reject(reason, frame.where, frame.name, None, len(frame.person_ids), detail)]
    return [Reject(reason, frame.where, frame.name, frame.person_ids[position], 1, detail)]


def take_any_frame(_frame: Frame, _cut: FrameCrops) -> FrameFault | None:
    """Find nothing wrong with a frame that could be cut."""
    return None


def cut_samples(
    frames: Sequence[FrameRow],
    contents: Sequence[Sequence[bytes | EntryFault]],
    options: CutOptions,
    describe: Callable[[FrameRow, Cut], tuple[str, Any]],
    *,
    lose: Callable[[FrameRow, int | None, RejectReason, str], list[Reject]] = lose_persons,
    check: Callable[[FrameRow, FrameCrops], FrameFault | None] = take_any_frame,
) -> Outcome:
    """Cut the boxes out of frames. Two frames together take less time than one after the other.

    Args:
        frames: The frames.
        contents: For each frame its file, or the reason why it could not be read.
        options: The options of cutting.
        describe: A function that makes the key and the sidecar of a crop.
        lose: A function that makes the rejects of a box or of a whole frame; see ``lose_persons``.
        check: A function that says why no crop of a frame can be taken, although it could be cut.
    """
    boxes = [frame_boxes(frame) for frame in frames]
    files = [
        (content, own) for (content,), own in zip(contents, boxes, strict=True) if not isinstance(content, EntryFault)
    ]
    cut = iter(cut_frames(files, options))
    outcome = Outcome()
    for position, (frame, (content,), own) in enumerate(zip(frames, contents, boxes, strict=True)):
        result = content if isinstance(content, EntryFault) else next(cut)
        fault = check(frame, result) if isinstance(result, FrameCrops) else result
        if fault is None and isinstance(result, FrameCrops):
            _add_crops(outcome, position, frame, own, result, describe, lose)
        elif fault is not None:
            outcome.rejects += lose(frame, None, fault.reason, fault.detail)
    return outcome


def frame_boxes(frame: Frame) -> list[Box]:
    """Return the boxes of a frame."""
    numbers = frame.boxes
    return list(zip(numbers[::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True))


def _add_crops(
    outcome: Outcome,
    row: int,
    frame: FrameRow,
    boxes: Sequence[Box],
    cut: FrameCrops,
    describe: Callable[[FrameRow, Cut], tuple[str, Any]],
    lose: Callable[[FrameRow, int | None, RejectReason, str], list[Reject]],
) -> None:
    members = sum(crop is not None for crop in cut.crops)
    for position, (box, crop) in enumerate(zip(boxes, cut.crops, strict=True)):
        if crop is None:
            width, height = cut.frame_size
            detail = f"box {list(box)} lies outside the frame of {width}x{height} pixels"
            outcome.rejects += lose(frame, position, RejectReason.BOX_OUTSIDE, detail)
            continue
        key, sidecar = describe(frame, Cut(position, box, crop, cut.frame_size, members))
        outcome.add(row, key, sidecar, (crop.image,))
        if is_clamped(box, cut.frame_size):
            outcome.notes.append((Note.BOX_CLAMPED, key))
