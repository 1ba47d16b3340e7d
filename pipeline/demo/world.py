"""Cameras, groups and their walks: geometry in metres. Nothing is drawn here.

A street's ``x`` runs across it, ``z`` along it, ``y`` up. A camera stands at ``z = 0``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.seeds import generator

FRAME_WIDTH = 1920
FRAME_HEIGHT = 1080
GROUP_SIZES = (2, 3, 4, 5, 6)
FRAMES_PER_GROUP = 20
FEWEST_GROUPS = 10
FRAMES_PER_VISIT = 5

FARTHEST_METRES = 20.0
SECONDS_BETWEEN_FRAMES = 0.4
STEPS_PER_METRE = 1.4

Time = Literal["day", "night"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera that looks along a street. Its picture plane is upright, so vertical lines stay vertical.

    Attributes:
        number: The camera's number, 1 to 8.
        focal: The focal length in pixels.
        height: The height above the ground in metres.
        horizon: The picture's row, in pixels, at which the ground ends.
        yaw: The angle in radians by which the camera looks to the right of the street's direction.
        offset: The camera's ``x`` in the street, in metres.
        walk: The range of ``x``, in metres, in which people walk. The camera stands within it and all street furniture
            outside, so that nothing hides a person from the camera.
    """

    number: int
    focal: float
    height: float
    horizon: float
    yaw: float
    offset: float
    walk: tuple[float, float]

    @property
    def nearest(self) -> float:
        """Depth in metres at which the ground leaves the picture at the bottom."""
        return self.focal * self.height / (FRAME_HEIGHT - self.horizon)

    def project(self, x: Floats | float, y: Floats | float, z: Floats | float) -> tuple[Floats, Floats, Floats]:
        """Return column and row (pixels) and depth (metres along the optical axis) of points in the street."""
        across = np.asarray(x, float) - self.offset
        depth = across * np.sin(self.yaw) + np.asarray(z, float) * np.cos(self.yaw)
        right = across * np.cos(self.yaw) - np.asarray(z, float) * np.sin(self.yaw)
        column = FRAME_WIDTH / 2 + self.focal * right / depth
        row = self.horizon + self.focal * (self.height - np.asarray(y, float)) / depth
        return column, row, depth


CAMERAS = (
    Camera(1, focal=860, height=3.1, horizon=330, yaw=0.06, offset=0.6, walk=(-4.2, 4.2)),
    Camera(2, focal=700, height=2.1, horizon=430, yaw=-0.20, offset=2.2, walk=(-0.6, 4.0)),
    Camera(3, focal=740, height=2.6, horizon=390, yaw=0.22, offset=-2.0, walk=(-4.0, 0.8)),
    Camera(4, focal=800, height=4.2, horizon=260, yaw=-0.05, offset=-0.8, walk=(-3.6, 3.6)),
    Camera(5, focal=660, height=3.6, horizon=350, yaw=0.12, offset=-2.0, walk=(-7.5, 7.5)),
    Camera(6, focal=640, height=1.7, horizon=480, yaw=0.10, offset=-0.5, walk=(-3.2, 3.4)),
    Camera(7, focal=620, height=2.3, horizon=420, yaw=0.0, offset=0.3, walk=(-2.4, 2.4)),
    Camera(8, focal=920, height=5.6, horizon=170, yaw=-0.12, offset=1.0, walk=(-4.6, 4.6)),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Persons who walk together.

    Attributes:
        number: The group's number, from 1; the group id is this number in seven digits.
        size: The number of persons, 2 to 6.
        frames: The number of frames that show the group.
    """

    number: int
    size: int
    frames: int

    @property
    def group_id(self) -> str:
        """Return the id as spelled in file names."""
        return f"{self.number:07d}"


@dataclass(frozen=True, slots=True)
class Pose:
    """Position and posture of one person in one frame.

    Attributes:
        person_id: The person's number in the group, from 0.
        x: The position across the street in metres.
        z: The position along the street in metres.
        heading: The direction in which the person walks, in radians to the right of the street's direction.
        phase: The phase of the walking cycle in radians.
    """

    person_id: int
    x: float
    z: float
    heading: float
    phase: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: which persons stand where in front of which camera.

    Attributes:
        group: The group that it shows.
        camera: The camera that takes it.
        time: Day or night.
        index: The frame's number in its group, from 1.
        poses: The pose of every person of the group, by person id.
    """

    group: Group
    camera: Camera
    time: Time
    index: int
    poses: tuple[Pose, ...]

    @property
    def name(self) -> str:
        """Return the file name as City1M spells it."""
        group = self.group
        return f"{group.group_id}_pCount{group.size}_cam{self.camera.number}_{self.index:07d}_{self.time}.jpg"


def plan_groups(frames: int) -> Iterator[Group]:
    """Yield the groups that share ``frames`` frames, sorted by size and number, so that a zip's groups are adjacent."""
    count = max(FEWEST_GROUPS, frames // FRAMES_PER_GROUP)
    sizes = [GROUP_SIZES[index * len(GROUP_SIZES) // count] for index in range(count)]
    for index, size in enumerate(sizes):
        yield Group(index + 1, size, frames * (index + 1) // count - frames * index // count)


def plan_frames(seed: int, group: Group) -> list[Frame]:
    """Return a group's frames in the order of their names: the group visits some cameras and walks past each."""
    random = generator(seed, "visits", group.number)
    visits = min(2 * len(CAMERAS), max(2, group.frames // FRAMES_PER_VISIT), group.frames)
    places = np.sort(random.permutation(2 * len(CAMERAS))[:visits])
    frames: list[Frame] = []
    for visit, place in enumerate(places):
        camera = CAMERAS[place // 2]
        time: Time = "night" if place % 2 else "day"
        steps = group.frames * (visit + 1) // visits - group.frames * visit // visits
        walk = _walk(random, camera, group.size, steps)
        frames += [Frame(group, camera, time, len(frames) + step + 1, poses) for step, poses in enumerate(walk)]
    return frames


def _walk(random: np.random.Generator, camera: Camera, size: int, steps: int) -> list[tuple[Pose, ...]]:
    """Return where the members of a group stand at each step of a walk that stays in the picture."""
    toward = np.pi * random.integers(2)
    heading = float(toward + random.normal(0, 0.35))
    offsets = _formation(random, size, heading)  # (members, 2)
    phases = random.uniform(0, 2 * np.pi, size)
    paces = random.uniform(0.92, 1.08, size)
    for speed in (1.3, 0.8, 0.4, 0.0):  # a long walk may not fit into a narrow picture, so they slow down
        travelled = speed * SECONDS_BETWEEN_FRAMES * np.arange(steps, dtype=np.float64)
        start = _start(random, camera, offsets, travelled, heading)
        if start is not None:
            break
    else:
        raise RuntimeError(f"camera {camera.number} has no room for a group of {size}: its table entry is wrong")
    jitter = random.normal(0, 0.03, (steps, size, 2))
    positions = _positions(start[None], offsets, travelled, heading)[0] + jitter
    turns = heading + random.normal(0, 0.12, size)
    return [
        tuple(
            Pose(
                member,
                x=float(positions[step, member, 0]),
                z=float(positions[step, member, 1]),
                heading=float(turns[member]),
                phase=float(phases[member] + 2 * np.pi * STEPS_PER_METRE / 2 * paces[member] * travelled[step]),
            )
            for member in range(size)
        )
        for step in range(steps)
    ]


def _formation(random: np.random.Generator, size: int, heading: float) -> Floats:
    """Return the members' positions around the group's centre in metres, (members, 2): rows of three abreast."""
    member = np.arange(size)
    abreast = min(size, 3)
    sideways = (member % abreast - (abreast - 1) / 2) * 0.72
    behind = -(member // abreast) * 0.95
    places = np.stack([sideways, behind - behind.mean()], axis=1) + random.normal(0, 0.09, (size, 2))
    cosine, sine = np.cos(heading), np.sin(heading)
    turned: Floats = places @ np.array([[cosine, -sine], [sine, cosine]])
    return turned[random.permutation(size)]


def _start(
    random: np.random.Generator, camera: Camera, offsets: Floats, travelled: Floats, heading: float
) -> Floats | None:
    """Return a start from which every member stays in the picture, or None if many tries do not find one."""
    tries = 400
    depth = camera.nearest * np.exp(random.uniform(0, np.log(3.5), tries))
    starts = np.stack([random.uniform(*camera.walk, tries), depth], axis=1)
    positions = _positions(starts, offsets, travelled, heading)
    x, z = positions[..., 0], positions[..., 1]
    tallest, widest = 2.15, 0.75
    column, feet, depth = camera.project(x, 0.0, z)
    top = feet - camera.focal * tallest / depth
    reach = camera.focal * widest / depth
    inside = (
        (depth > camera.nearest)
        & (depth < FARTHEST_METRES)
        & (x > camera.walk[0])
        & (x < camera.walk[1])
        & (column - reach > 0)
        & (column + reach < FRAME_WIDTH)
        & (top > 0)
        & (feet + camera.focal * 0.25 / depth < FRAME_HEIGHT)
    ).all(axis=(1, 2))
    return starts[int(inside.argmax())] if inside.any() else None


def _positions(starts: Floats, offsets: Floats, travelled: Floats, heading: float) -> Floats:
    """Return every member's ``x`` and ``z`` at every step from every start, (tries, steps, members, 2)."""
    direction = np.array([np.sin(heading), np.cos(heading)])
    positions: Floats = starts[:, None, None] + travelled[None, :, None, None] * direction + offsets[None, None]
    return positions
