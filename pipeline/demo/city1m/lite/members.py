"""The members of a group as City1M-Lite has them: all labels, but one crop of each person."""

from dataclasses import dataclass
from io import BytesIO
from math import ceil, floor

from PIL import Image

from pipeline.demo.city1m.backgrounds import Backgrounds, Place
from pipeline.demo.city1m.frames import Label, label_frame, render_frame
from pipeline.demo.crops import encode_crop
from pipeline.demo.world import Frame, Group, plan_frames

_QUALITY = 90


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    """A group with its labels and crops.

    Attributes:
        group: The group.
        labels: The file name and the labels of each frame, in the order of the names.
        crops: A crop of each member, by person id, out of the frame in which its box is largest.
        frame: The file name of one of those frames.
        frame_crops: The crops of all members out of that frame, by person id.
    """

    group: Group
    labels: tuple[tuple[str, tuple[Label, ...]], ...]
    crops: dict[int, bytes]
    frame: str
    frame_crops: dict[int, bytes]


def draw_members(backgrounds: Backgrounds, qualities: dict[Place, int], group: Group) -> DrawnGroup:
    """Draw a group: the frames that its crops come from are rendered as in City1M-Full, the others only labelled."""
    frames = plan_frames(backgrounds.seed, group)
    labels = [label_frame(backgrounds.seed, frame) for frame in frames]
    largest = [
        max(range(len(frames)), key=lambda number: labels[number][member].box[2] * labels[number][member].box[3])
        for member in range(group.size)
    ]
    crops = {number: _cut(backgrounds, qualities, frames[number], labels[number]) for number in sorted(set(largest))}
    return DrawnGroup(
        group=group,
        labels=tuple((frame.name, own) for frame, own in zip(frames, labels, strict=True)),
        crops={member: crops[number][member] for member, number in enumerate(largest)},
        frame=frames[largest[0]].name,
        frame_crops=crops[largest[0]],
    )


def _cut(
    backgrounds: Backgrounds, qualities: dict[Place, int], frame: Frame, labels: tuple[Label, ...]
) -> dict[int, bytes]:
    """Return the crops of a frame's members by person id."""
    place = (frame.camera.number, frame.time)
    rendered = render_frame(backgrounds.seed, frame, backgrounds.load(place), qualities[place])
    with Image.open(BytesIO(rendered.jpeg)) as image:
        crops = {}
        for label in labels:
            x, y, width, height = label.box
            crop = image.crop((floor(x), floor(y), ceil(x + width), ceil(y + height)))
            crops[label.person_id] = encode_crop(crop, quality=_QUALITY)
        return crops
