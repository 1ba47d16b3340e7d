"""Make labels and zip directories of City1M's full scale, for ``bench_plan``: the frames themselves are holes.

    python -m tests.benchmarks.make_city1m_scale FOLDER

1.84 million frames of 11,000 groups of 2 to 6 (the dataset's README), in both protocols: six label files of together
0.9 GB, and five sparse zips whose directories are real. Half a minute, and 1 GB on disk.
"""

import argparse
import contextlib
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

FRAMES = 1_840_000
GROUPS = 11_000
GROUP_SIZES = (2, 3, 4, 5, 6)
FRAME_BYTES = 220_000

ENTRY = struct.Struct("<4s6H3L5H2L")
ZIP64_OFFSET = struct.Struct("<2HQ")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
END = struct.Struct("<4s4H2LH")


def frame_names(groups: range, frames: int) -> Iterator[str]:
    """Names of the ``frames`` frames of the groups of one size, group after group."""
    size = GROUP_SIZES[groups.start % len(GROUP_SIZES)]
    for number in range(frames):
        group = groups[number * len(groups) // frames]
        time = "day" if number % 3 else "night"
        yield f"{group:07d}_pCount{size}_cam{number % 8 + 1}_{number:07d}_{time}.jpg"


def make_members(generator: random.Random, count: int) -> list[str]:
    """Box and depth of people who mostly stand inside the frame, as label files write them."""
    members = []
    for _ in range(count):
        height = generator.uniform(90, 500)
        width = height * generator.uniform(0.25, 0.6)
        x, y = generator.uniform(-5, 1915 - width), generator.uniform(-5, 1075 - height)
        members.append(f",{x:.4f},{y:.4f},{width:.4f},{height:.4f},{generator.uniform(1, 30):.4f}")
    return members


def label_files(group: int, frame: int) -> list[str]:
    """The label files that a frame stands in: its group decides, and a tenth of a gallery is its query as well."""
    files = []
    for part in (1, 2):
        if group * 2654435761 % 2**32 % 100 < (60, 40)[part - 1]:
            files.append(f"train_part{part}.txt")
        else:
            files.append(f"gallery_part{part}.txt")
            if frame % 10 == 0:
                files.append(f"query_part{part}.txt")
    return files


def write_labels(folder: Path, frames: int) -> None:
    """Write the six label files; like the original's, their lines are not in the archives' order."""
    generator = random.Random(0)
    members = make_members(generator, 100_003)
    names = [name for groups, count in shares(frames) for name in frame_names(groups, count)]
    generator.shuffle(names)
    with contextlib.ExitStack() as stack:
        files: dict[str, TextIO] = {}
        for number, name in enumerate(names):
            size = int(name[14])
            people = " ".join(f"{person}{members[(number * 7 + person) % len(members)]}" for person in range(size))
            for file in label_files(int(name[:7]), number):
                if file not in files:
                    files[file] = stack.enter_context((folder / file).open("w"))
                files[file].write(f"{name} {people}\n")


def shares(frames: int) -> list[tuple[range, int]]:
    """Groups and number of frames of each size of group."""
    return [(range(first, GROUPS, len(GROUP_SIZES)), frames // len(GROUP_SIZES)) for first in range(len(GROUP_SIZES))]


def write_archive(folder: Path, groups: range, frames: int) -> None:
    """Write a zip of stored frames that are holes, with a real directory (APPNOTE.TXT 4.3.12, 4.3.14 to 4.3.16)."""
    size = GROUP_SIZES[groups.start % len(GROUP_SIZES)]
    position = 0
    entries = []
    for name in frame_names(groups, frames):
        member = f"Images_{size}/{name}".encode()
        length = FRAME_BYTES + zlib.crc32(member) % 20_000
        extra = ZIP64_OFFSET.pack(1, 8, position) if position >= 0xFFFFFFFF else b""
        offset = min(position, 0xFFFFFFFF)
        fixed = (b"PK\x01\x02", 45, 45, 0, 0, 0, 33, zlib.crc32(member), length, length, len(member), len(extra))
        entries.append(ENTRY.pack(*fixed, 0, 0, 0, 0, offset) + member + extra)
        position += 30 + len(member) + length
    directory = b"".join(entries)
    end = position + len(directory)
    with (folder / f"Images_{size}.zip").open("wb") as file:
        file.truncate(position)
        file.seek(position)
        file.write(directory)
        file.write(END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, frames, frames, len(directory), position))
        file.write(LOCATOR.pack(b"PK\x06\x07", 0, end, 1))
        file.write(END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=FRAMES)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for groups, count in shares(arguments.frames):
        write_archive(arguments.folder, groups, count)
    write_labels(arguments.folder, arguments.frames)


if __name__ == "__main__":
    main()
