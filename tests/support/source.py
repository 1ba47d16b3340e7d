"""Sources small enough for a test: City1M's shape, frames of a few hundred pixels."""

import io
import random
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

FRAME_SIZE = (320, 180)

Member = tuple[int, tuple[float, float, float, float], float]
"""Person id, box as x, y, w, h, and depth."""


def frame_image(seed: int, size: tuple[int, int] = FRAME_SIZE, **save: object) -> bytes:
    """A JPEG with colours and edges that tell one place of it from another."""
    rng = random.Random(seed)
    image = Image.effect_noise(size, 40).convert("RGB") if seed % 3 == 0 else Image.new("RGB", size, "gray")
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        left, top = rng.randrange(size[0]), rng.randrange(size[1])
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        draw.rectangle((left, top, left + rng.randrange(4, 60), top + rng.randrange(4, 60)), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 90, **save})
    return buffer.getvalue()


def frame_name(group: int, count: int, camera: int = 1, index: int = 1, time: str = "day") -> str:
    """A frame's name without its extension."""
    return f"{group:07d}_pCount{count}_cam{camera}_{index:07d}_{time}"


def label_line(frame: str, members: Sequence[Member]) -> str:
    """A label line without its end."""
    return " ".join([f"{frame}.jpg", *(",".join(map(str, [person, *box, depth])) for person, box, depth in members)])


@dataclass
class MiniSource:
    """What a test wants to find in a source; change it, then ``write`` it."""

    archives: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Archive to member name to content."""
    labels: dict[str, list[str]] = field(default_factory=dict)
    """Label file to its lines."""

    def write(self, folder: Path) -> Path:
        """Write zips (the first one's members deflated, the others' stored) and label files."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, (archive, members) in enumerate(sorted(self.archives.items())):
            write_zip(folder / archive, members, zipfile.ZIP_DEFLATED if number == 0 else zipfile.ZIP_STORED)
        for file, lines in self.labels.items():
            (folder / file).write_text("".join(f"{line}\n" for line in lines))
        return folder


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    """Write a zip with fixed times."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)


def mini_source(groups: int = 12, frames_a_group: int = 4, seed: int = 0) -> MiniSource:
    """Groups of two and three, split by group into train and test under p1, and otherwise under p2."""
    rng = random.Random(seed)
    source = MiniSource({"Images_2.zip": {}, "Images_3.zip": {}})
    for group in range(1, groups + 1):
        count = 2 + group % 2
        for index in range(frames_a_group):
            camera, time = 1 + (group + index) % 8, ("day", "night")[index % 2]
            name = frame_name(group, count, camera, index, time)
            source.archives[f"Images_{count}.zip"][f"Images_{count}/{name}.jpg"] = frame_image(group * 100 + index)
            members: list[Member] = []
            for person in range(count):
                x, y = round(rng.uniform(0, 250), 4), round(rng.uniform(0, 100), 4)
                width, height = round(rng.uniform(8, 30), 4), round(rng.uniform(40, 75), 4)
                members.append((person, (x, y, width, height), round(rng.uniform(1, 20), 4)))
            line = label_line(name, members)
            for protocol in (1, 2):
                split = "train" if (group + protocol) % 3 else ("query" if index == 0 else "gallery")
                if protocol == 1 or group % 5:  # p2 leaves some groups out
                    source.labels.setdefault(f"{split}_part{protocol}.txt", []).append(line)
    return source
