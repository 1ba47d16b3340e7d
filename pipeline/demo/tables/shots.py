"""What the frames of a demo show, before labels and files are written."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.demo.seeds import generator
from pipeline.demo.tables.scenes import CAMERAS, Box

FRAMES_A_GROUP = 4
_STRANGER = 100_000


@dataclass(slots=True)
class LabelledBox:
    """A box of a frame, and what labels say of it. Traps change some of them."""

    number: int
    """The annotation's number in the demo, from 1."""
    shown: int
    """The number of the person who is drawn."""
    person: int | str | None
    """The person as labelled; None if nobody knows who it is."""
    box: Box
    is_query: bool = False
    age: int | None = None
    """A further column, which is not always known."""
    is_missing: bool = False
    """Whether the labels lack the box's numbers."""
    is_crowd: bool = False


@dataclass(slots=True)
class Shot:
    """A frame: where it lies, what labels call it, and its boxes. Traps change some of them."""

    number: int
    camera: int
    split: str
    """"train" or "gallery"."""
    path: str
    """Path of the file below SRC, or in its archive."""
    archive: str | None
    """Name of the archive that it lies in."""
    listed: str
    """Path as labels spell it."""
    size: tuple[int, int]
    """Width and height as labelled."""
    boxes: list[LabelledBox] = field(default_factory=list)
    content: bytes = b""

    @property
    def group(self) -> str:
        """Return the group that labels put the frame into."""
        return f"{self.split}{self.number // FRAMES_A_GROUP}"


def plan_shots(seed: int, count: int, size: tuple[int, int]) -> Iterator[Shot]:
    """Yield the frames without their pictures: the first three fifths are for training.

    Each identity occurs in several frames of several cameras. A fifth of the boxes show people whom nobody identified.
    Frames lie in a folder, a zip and a tar in turns.
    """
    training = count * 3 // 5
    number = 1
    for index in range(count):
        is_training = index < training
        place, of = (index, training) if is_training else (index - training, count - training)
        identities = max(4, of // 3)
        camera = list(CAMERAS)[(index + index // len(CAMERAS)) % len(CAMERAS)]
        archive, folder = ((None, "photos/"), ("dusk.zip", ""), ("night.tar", ""))[index % 3]
        name = f"cam{camera}/{index:06d}.jpg"
        shot = Shot(index, camera, "train" if is_training else "gallery", folder + name, archive, name, size)
        random = generator(seed, "table plan", index)
        for step in range(3):
            person = 1 + (place * 2 + step) % identities + (0 if is_training else 1000)
            is_known = random.random() < 0.8 or place < identities
            shown = person if is_known else _STRANGER + number
            age = int(random.integers(18, 80)) if random.random() < 0.5 else None
            shot.boxes.append(LabelledBox(number, shown, person if is_known else None, (0, 0, 0, 0), age=age))
            number += 1
        yield shot


def choose_queries(shots: list[Shot]) -> None:
    """Mark the first box of each test identity as a query."""
    seen: set[int | str] = set()
    for shot in shots:
        for box in shot.boxes:
            if shot.split == "gallery" and box.person is not None and box.person not in seen:
                seen.add(box.person)
                box.is_query = True
