"""What a demo of SYSU-30k shows: which person is on which crop, and in which folder, list and bag the crop stands.

Paths follow the dataset's repository (https://github.com/wanggrun/SYSU-30k): training folders of ten digits, test
folders of nine digits and ``0000others`` for distractors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.demo.seeds import generator

TRAIN_ROOT, TEST_ROOT = "sysu_train_set_all", "sysu_test_set_all"
FEWEST_IMAGES = 120
IMAGES_PER_FOLDER = 25
FEWEST_FOLDERS = 8
OTHERS = "0000others"
FIRST_TEST_FOLDER = 28_311
"""The first test identity's number, as in the dataset: its 28,310 training folders come before."""
_DISTRACTORS_FROM = 1_000_000
_CAMERAS = range(1, 9)


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop of the demo.

    Attributes:
        path: The path below its root.
        person: The number of the person that it shows.
        camera: The camera, 1 to 8, which only the names of test images tell.
    """

    path: str
    person: int
    camera: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All crops of a demo, in the order of the archives.

    Attributes:
        train: Training folders, each with the crops in it.
        query: Crops below ``query/`` of the test root.
        gallery: Crops below ``gallery/`` of the test root, distractors last.
    """

    train: dict[str, list[Crop]]
    query: list[Crop]
    gallery: list[Crop]

    @property
    def identities(self) -> int:
        """Return the number of test identities."""
        return len({crop.person for crop in self.query})


def plan_crops(seed: int, images: int) -> Plan:
    """Share out the images: most are for training, four for each test identity, some are distractors."""
    identities = max(4, images // 50)
    distractors = max(4, images // 40)
    training = images - 4 * identities - distractors
    folders = max(FEWEST_FOLDERS, training // IMAGES_PER_FOLDER)
    ends = [training * number // folders for number in range(folders + 1)]
    train = {
        f"{number:010d}": list(_train_folder(seed, number, end - start))
        for number, (start, end) in enumerate(pairwise(ends), start=1)
    }
    query, gallery = [], []
    for person in range(FIRST_TEST_FOLDER, FIRST_TEST_FOLDER + identities):
        random = generator(seed, "test identity", person)
        first, second = (int(camera) for camera in random.permutation(_CAMERAS)[:2])
        name = f"{person:09d}"
        query.append(Crop(f"query/{name}/{name}_c{first}_1.jpg", person, first))
        gallery += [
            Crop(f"gallery/{name}/{name}_c{camera}_{take}.jpg", person, camera)
            for camera, take in ((first, 2), (second, 1), (second, 2))
        ]
    for number in range(distractors):
        camera = 1 + number % len(_CAMERAS)
        path = f"gallery/{OTHERS}/{OTHERS}_c{camera}_{1 + number // len(_CAMERAS)}.jpg"
        gallery.append(Crop(path, _DISTRACTORS_FROM + number, camera))
    return Plan(train, query, gallery)


def _train_folder(seed: int, number: int, count: int) -> Iterator[Crop]:
    """Yield the crops of a training folder, which mostly show one person: users found several in one."""
    random = generator(seed, "train folder", number)
    folder = f"{number:010d}"
    for take in range(1, count + 1):
        person = number if random.random() < 0.85 else number + 1  # somebody who walks beside
        yield Crop(f"{folder}/{folder}_{take:05d}.jpg", person, int(random.integers(1, len(_CAMERAS) + 1)))


def plan_bags(seed: int, folders: Sequence[str]) -> list[dict[str, Any]]:
    """Return the bags of ``bag_level_label.json``: three neighbouring folders each, of which bags share one."""
    numbers = [int(folder) for folder in folders]
    bags: list[dict[str, Any]] = []
    for first in range(0, max(1, len(numbers) - 1), 2):
        labels = numbers[first : first + 3]
        bags.append(
            {
                "BagLabel": labels,
                "BagID": f"bag{len(bags) + 1:010d}",
                "BagImages": [f"{number:010d}/*" for number in labels],
            }
        )
    order = generator(seed, "bags").permutation(len(bags))
    return [bags[int(index)] for index in order]
