"""The surprises of labelled frames. Each is planted once, so that a run over the demo meets all."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Final, Literal

from PIL import Image

from pipeline.demo.tables.scenes import encode
from pipeline.demo.tables.shots import LabelledBox, Shot

Effect = Literal["nothing", "note", "reject"]
"""What a conversion does about a trap: nothing, make a note, or reject samples."""

_ORIENTATION = 0x0112
"""The Exif tag that says how to turn an image (Exif 2.32, 4.6.4)."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A place at which a trap shows, and an object in ``traps.json``.

    Attributes:
        trap: The trap's name.
        effect: What a conversion does about it.
        path: The path of the image as labels spell it, or of a label file.
        lost: How many samples a conversion loses by it.
    """

    trap: str
    effect: Effect
    path: str
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Trap:
    """A surprise that affects one frame.

    Attributes:
        name: The trap's name in ``traps.json``.
        effect: What a conversion does about it.
        apply: A function that changes the frame and returns how many samples are lost.
    """

    name: str
    effect: Effect
    apply: Callable[[Shot], int]


def _decoded(shot: Shot) -> Image.Image:
    return Image.open(BytesIO(shot.content))


def _encode_as(kind: str, mode: str = "RGB", **options: Any) -> Callable[[Shot], int]:
    def apply(shot: Shot) -> int:
        if kind == "PNG":
            shot.path, shot.listed = (path.replace(".jpg", ".png") for path in (shot.path, shot.listed))
        shot.content = encode(_decoded(shot).convert(mode), kind, **options)
        return 0

    return apply


def _rotate(shot: Shot) -> int:
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    shot.content = encode(_decoded(shot), exif=exif)
    return 0


def _rename(name: str) -> Callable[[Shot], int]:
    def apply(shot: Shot) -> int:
        shot.path, shot.listed = (f"{path.rpartition('/')[0]}/{name}" for path in (shot.path, shot.listed))
        return 0

    return apply


def _truncate(shot: Shot) -> int:
    shot.content = shot.content[: len(shot.content) // 20]
    return len(shot.boxes)


def _lose_file(shot: Shot) -> int:
    shot.content = b""
    return len(shot.boxes)


def _state_other_size(shot: Shot) -> int:
    shot.size = (shot.size[1], shot.size[0])
    return len(shot.boxes)


def _without_boxes(shot: Shot) -> int:
    shot.boxes.clear()
    return 0


def _move_box(change: Callable[[LabelledBox, Shot], Any], lost: int) -> Callable[[Shot], int]:
    def apply(shot: Shot) -> int:
        box = next(box for box in shot.boxes if not box.is_query)
        change(box, shot)
        return lost

    return apply


def _beyond(box: LabelledBox, _: Shot) -> None:
    box.box = (-7.5, *box.box[1:])


def _outside(box: LabelledBox, shot: Shot) -> None:
    box.box = (shot.size[0] + 5.0, 10.0, 20.0, 40.0)


def _empty(box: LabelledBox, _: Shot) -> None:
    box.box = (*box.box[:2], 0.0, box.box[3])


def _not_finite(box: LabelledBox, _: Shot) -> None:
    box.box = (*box.box[:3], math.nan)


def _drop_numbers(box: LabelledBox, _: Shot) -> None:
    box.is_missing = True


def _call_by_name(box: LabelledBox, _: Shot) -> None:
    box.person = "anna"


def _repeat_person(box: LabelledBox, shot: Shot) -> None:
    shot.boxes.append(replace(box, number=box.number + 900_000, box=(3.0, 5.0, 30.0, 70.0), is_query=False, person=1))
    box.person = 1


FRAME_TRAPS: Final = (
    Trap("frame without boxes", "note", _without_boxes),
    Trap("box beyond the frame", "note", _move_box(_beyond, 0)),
    Trap("box outside the frame", "reject", _move_box(_outside, 1)),
    Trap("empty box", "reject", _move_box(_empty, 1)),
    Trap("NaN in a box", "reject", _move_box(_not_finite, 1)),
    Trap("box without numbers", "reject", _move_box(_drop_numbers, 1)),
    Trap("person twice in a frame", "note", _move_box(_repeat_person, 0)),
    Trap("id that is a word", "nothing", _move_box(_call_by_name, 0)),
    Trap("spaces in a name", "nothing", _rename("holiday photo 12.jpg")),
    Trap("name in another script", "nothing", _rename("фото 写真.jpg")),
    Trap("PNG frame", "nothing", _encode_as("PNG")),
    Trap("progressive frame", "nothing", _encode_as("JPEG", progressive=True)),
    Trap("grayscale frame", "nothing", _encode_as("JPEG", "L")),
    Trap("CMYK frame", "nothing", _encode_as("JPEG", "CMYK", subsampling="4:4:4")),
    Trap("rotation in EXIF", "note", _rotate),
    Trap("truncated frame", "reject", _truncate),
    Trap("missing frame", "reject", _lose_file),
    Trap("frame of another size", "reject", _state_other_size),
)
"""Traps of single frames, in the order of the training frames that they affect."""
SAME_NAME = "same name in two folders"
"""The trap of two frames that labels name only by the end of their paths, which is the same."""


FEWEST_FRAMES_WITH_TRAPS = (len(FRAME_TRAPS) + 2) * 5 // 3 + 2


def plant(shots: list[Shot]) -> list[Planted]:
    """Change training frames as the traps say, one frame each; return where they show."""
    training = [shot for shot in shots if shot.split == "train"]
    planted = [Planted(SAME_NAME, "reject", training[0].listed, len(training[0].boxes))]
    for shot, trap in zip(training[1:], FRAME_TRAPS, strict=False):
        lost = trap.apply(shot)
        planted.append(Planted(trap.name, trap.effect, shot.listed, lost))
    return planted
