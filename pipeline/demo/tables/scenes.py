"""Small frames with a few persons each, and the boxes around these."""

import functools
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.demo.appearance import dress
from pipeline.demo.crops import render_crop
from pipeline.demo.person import draw_person
from pipeline.demo.scene import render_background
from pipeline.demo.seeds import generator
from pipeline.demo.world import CAMERAS as ALL_CAMERAS
from pipeline.demo.world import FRAME_HEIGHT, FRAME_WIDTH, Camera

SCALE = 0.25
SIZE = (int(FRAME_WIDTH * SCALE), int(FRAME_HEIGHT * SCALE))
"""Width and height of a frame in pixels."""
CAMERAS = {camera.number: camera for camera in ALL_CAMERAS[:3]}
_QUALITY = 85
_TRIES = 50

Box = tuple[float, float, float, float]


def draw_frame(seed: int, camera: int, number: int, persons: Sequence[int]) -> tuple[bytes, list[Box]]:
    """Draw a frame.

    Args:
        seed: The demo's seed.
        camera: The number of the camera.
        number: The frame's number, which decides where the persons stand.
        persons: The persons' numbers.

    Returns:
        The JPEG, and left, top, width and height of each person in pixels.
    """
    random = generator(seed, "table frame", number)
    image = Image.fromarray(_background(seed, camera).copy())
    boxes: dict[int, Box] = {}
    places = sorted(
        ((*_place(CAMERAS[camera], random), person) for person in persons), key=lambda place: -place[2]
    )  # who is far away is drawn first
    for column, feet, depth, person in places:
        sprite = draw_person(
            dress(seed, person, 0),
            column=column * SCALE,
            feet=feet * SCALE,
            scale=CAMERAS[camera].focal / depth * SCALE,
            turn=float(random.uniform(0, 2 * np.pi)),
            phase=float(random.uniform(0, 2 * np.pi)),
            light=1.0,
        )
        image.paste(sprite.image.convert("RGB"), (sprite.left, sprite.top), sprite.image.getchannel("A"))
        left, top = max(0, sprite.left), max(0, sprite.top)
        right, bottom = min(SIZE[0], sprite.left + sprite.image.width), min(SIZE[1], sprite.top + sprite.image.height)
        jitter = float(round(random.uniform(0, 0.4), 2))
        boxes[person] = (left + jitter, top + jitter, right - left - jitter, bottom - top - jitter)
    return encode(image), [boxes[person] for person in persons]


def draw_crop(seed: int, camera: int, number: int, person: int) -> bytes:
    """Draw a person as a crop, which is a JPEG.

    Args:
        seed: The demo's seed.
        camera: The number of the camera.
        number: The crop's number, which decides the pose.
        person: The person's number.
    """
    random = generator(seed, "table crop", number)
    street = render_street(seed, camera)
    return encode(render_crop(dress(seed, person, 0), street, random))


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image as a file, by default a baseline JPEG with 4:2:0."""
    stream = BytesIO()
    jpeg = {"quality": _QUALITY, "subsampling": "4:2:0"} if kind == "JPEG" else {}
    image.save(stream, kind, **{**jpeg, **options})
    return stream.getvalue()


@functools.lru_cache(maxsize=len(CAMERAS))
def render_street(seed: int, camera: int) -> NDArray[np.uint8]:
    """Return a camera's empty street in full size, (1080, 1920, 3); it takes half a second, so it is kept."""
    return render_background(seed, CAMERAS[camera], "day")


@functools.lru_cache(maxsize=len(CAMERAS))
def _background(seed: int, camera: int) -> NDArray[np.uint8]:
    small = Image.fromarray(render_street(seed, camera)).resize(SIZE, Image.Resampling.BILINEAR)
    return np.asarray(small)


def _place(camera: Camera, random: np.random.Generator) -> tuple[float, float, float]:
    """Return the column and the row of a person's feet in pixels of the full frame, and the depth in metres."""
    for _ in range(_TRIES):
        x, z = float(random.uniform(*camera.walk)), camera.nearest * float(random.uniform(1.3, 2.6))
        column, feet, depth = (float(number) for number in camera.project(x, 0.0, z))
        if 0.05 * FRAME_WIDTH < column < 0.95 * FRAME_WIDTH and feet < FRAME_HEIGHT:
            return column, feet, depth
    return FRAME_WIDTH / 2, FRAME_HEIGHT * 0.9, camera.nearest * 1.3
