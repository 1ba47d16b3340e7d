"""One frame: the persons of a group in a street, as a JPEG and as the labels of the members."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.demo.appearance import dress
from pipeline.demo.person import Sprite, draw_person
from pipeline.demo.scene import ambient
from pipeline.demo.seeds import generator
from pipeline.demo.streets import STREETS
from pipeline.demo.world import FRAME_HEIGHT, FRAME_WIDTH, Camera, Frame, Pose, Time

FEWEST_BYTES, MOST_BYTES = 150_000, 300_000
QUALITIES = range(45, 96)
QUALITY_STEP = 4


@dataclass(frozen=True, slots=True)
class Label:
    """One member's part of a label line.

    Attributes:
        person_id: The member's number in its group.
        box: x, y, width, height in pixels.
        depth: Metres from the camera along its optical axis.
    """

    person_id: int
    box: tuple[float, float, float, float]
    depth: float

    def __str__(self) -> str:
        """Return ``id,x,y,w,h,depth`` with at most four decimals, as City1M writes it."""
        return ",".join([str(self.person_id), *(str(round(number, 4)) for number in (*self.box, self.depth))])


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """A frame as it goes into the set.

    Attributes:
        name: The frame's file name.
        group_size: How many persons it shows.
        jpeg: The picture: baseline, 4:2:0, the standard's Huffman tables.
        labels: A label for each person, by person id.
    """

    name: str
    group_size: int
    jpeg: bytes
    labels: tuple[Label, ...]

    @property
    def line(self) -> str:
        """The frame's line in label files, without its end."""
        return label_line(self.name, self.labels)


def label_line(name: str, labels: Iterable[Label]) -> str:
    """Return a frame's line in label files, without its end."""
    return " ".join([name, *map(str, labels)])


def choose_quality(seed: int, camera: Camera, time: Time, background: NDArray[np.uint8]) -> int:
    """Return the JPEG quality at which this camera's frames have their intended size, between 180 and 250 KB."""
    wanted = generator(seed, "bytes", camera.number, int(time == "night")).uniform(180e3, 250e3)
    image = Image.fromarray(background)
    return QUALITIES[min(len(QUALITIES) - 1, bisect_left(QUALITIES, wanted, key=lambda q: len(_encode(image, q))))]


def render_frame(seed: int, frame: Frame, background: NDArray[np.uint8], quality: int) -> RenderedFrame:
    """Draw a frame.

    Args:
        seed: The demo's seed.
        frame: The frame, which says who stands where.
        background: The empty street as an RGB array, (1080, 1920, 3).
        quality: The JPEG quality to try first; it is changed if the frame would leave the promised range of sizes.
    """
    random, exposure = _begin(seed, frame)
    image = Image.fromarray(background).point([min(255, round(level * exposure)) for level in range(256)] * 3)
    sprites, labels = place_members(seed, frame, random)
    for pose in frame.poses:
        _cast_shadow(image, frame, pose)
    # Persons who are far away are drawn first, so that nearer ones hide them.
    for member in sorted(range(len(labels)), key=lambda member: -labels[member].depth):
        sprite, pose = sprites[member], frame.poses[member]
        light = ambient(frame.camera, frame.time, pose.x, pose.z) * np.float32(exposure)
        image.paste(_illuminate(sprite.image, light, random), (sprite.left, sprite.top), sprite.image.getchannel("A"))
    jpeg = _encode(image, quality)
    while not FEWEST_BYTES <= len(jpeg) <= MOST_BYTES:
        quality += QUALITY_STEP if len(jpeg) < FEWEST_BYTES else -QUALITY_STEP
        jpeg = _encode(image, quality)
    return RenderedFrame(frame.name, frame.group.size, jpeg, labels)


def label_frame(seed: int, frame: Frame) -> tuple[Label, ...]:
    """Return the labels that a frame has when it is drawn, by person id."""
    return place_members(seed, frame, _begin(seed, frame)[0])[1]


def _begin(seed: int, frame: Frame) -> tuple[np.random.Generator, float]:
    """Return the frame's random numbers and its exposure."""
    random = generator(seed, "frame", frame.group.number, frame.index)
    return random, float(random.uniform(0.94, 1.05))


def place_members(seed: int, frame: Frame, random: np.random.Generator) -> tuple[tuple[Sprite, ...], tuple[Label, ...]]:
    """Return the members' pictures and labels by person id; a box extends up to one pixel beyond what is drawn."""
    camera = frame.camera
    sprites, labels = [], []
    for pose in frame.poses:
        column, feet, depth = (float(number) for number in camera.project(pose.x, 0.0, pose.z))
        bearing = camera.yaw + np.arctan((column - FRAME_WIDTH / 2) / camera.focal)
        sprite = draw_person(
            dress(seed, frame.group.number, pose.person_id),
            column=column,
            feet=feet,
            scale=camera.focal / depth,
            turn=pose.heading - float(bearing),
            phase=pose.phase,
            light=STREETS[camera.number].sun,
        )
        left, top, right, bottom = random.uniform(0.05, 0.95, 4) * (-1, -1, 1, 1) + (
            sprite.left,
            sprite.top,
            sprite.left + sprite.image.width,
            sprite.top + sprite.image.height,
        )
        x, y = round(max(0.0, left), 4), round(max(0.0, top), 4)
        box = (x, y, round(min(FRAME_WIDTH, right) - x, 4), round(min(FRAME_HEIGHT, bottom) - y, 4))
        sprites.append(sprite)
        labels.append(Label(pose.person_id, box, round(depth, 4)))
    return tuple(sprites), tuple(labels)


def _illuminate(sprite: Image.Image, light: NDArray[np.float32], random: np.random.Generator) -> Image.Image:
    """Return the sprite (RGB) in the light of its place, with the grain of cloth and sensor."""
    colours = np.asarray(sprite.convert("RGB"), np.float32)
    grain = random.standard_normal((*colours.shape[:2], 1), np.float32)
    return Image.fromarray(np.clip(colours * light * (1 + 0.045 * grain) + 2 * grain, 0, 255).astype(np.uint8))


def _cast_shadow(image: Image.Image, frame: Frame, pose: Pose) -> None:
    """Darken the ground around a person's feet."""
    column, feet, depth = (float(number) for number in frame.camera.project(pose.x, 0.0, pose.z))
    pixels = frame.camera.focal / depth
    width, height = max(2, int(1.15 * pixels)), max(2, int(0.75 * pixels * frame.camera.height / depth))
    darkness = 0.62 if frame.time == "day" else 0.5
    blob = Image.radial_gradient("L").point([round(darkness * 255 * max(0.0, 1 - v / 180) ** 0.8) for v in range(256)])
    shift = STREETS[frame.camera.number].sun * 0.16 * pixels if frame.time == "day" else 0.0
    mask = blob.resize((width, height), Image.Resampling.BILINEAR)
    image.paste((12, 12, 18), (int(column - width / 2 - shift), int(feet - height / 2)), mask)


def _encode(image: Image.Image, quality: int) -> bytes:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    return stream.getvalue()
