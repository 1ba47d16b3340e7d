"""The empty streets of a demo, each of which is drawn once and read by every process."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.city1m.frames import choose_quality
from pipeline.demo.scene import render_background
from pipeline.demo.world import CAMERAS, Group, Time, plan_frames

Place = tuple[int, Time]
"""A camera's number and the time of day."""

PLACES: tuple[Place, ...] = tuple((camera.number, time) for camera in CAMERAS for time in ("day", "night"))


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """The empty streets.

    Attributes:
        seed: The demo's seed.
        folder: The folder in which they are kept while the demo is drawn.
    """

    seed: int
    folder: Path

    def draw(self, place: Place) -> int:
        """Draw and keep an empty street; return the JPEG quality of the frames that are taken there."""
        camera, time = next(camera for camera in CAMERAS if camera.number == place[0]), place[1]
        background = render_background(self.seed, camera, time)
        np.save(self._file(place), background)
        return choose_quality(self.seed, camera, time, background)

    def load(self, place: Place) -> NDArray[np.uint8]:
        """Return an empty street that has been drawn, as an RGB array, (1080, 1920, 3)."""
        return _load(self._file(place))

    def _file(self, place: Place) -> Path:
        return self.folder / f"{self.seed}-{place[0]}-{place[1]}.npy"


def visited_places(seed: int, groups: Iterable[Group]) -> list[Place]:
    """Return which cameras are visited at which times, sorted."""
    places: set[Place] = set()
    for group in groups:
        places |= {(frame.camera.number, frame.time) for frame in plan_frames(seed, group)}
        if len(places) == len(PLACES):
            break
    return sorted(places)


@lru_cache(maxsize=len(PLACES))
def _load(path: Path) -> NDArray[np.uint8]:
    background: NDArray[np.uint8] = np.load(path)
    return background
