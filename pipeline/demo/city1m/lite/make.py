"""The demo of City1M-Lite: crops in folders and zips, sixteen empty streets, and the label files of City1M-Full.

The scenes are those of City1M-Full's demo with the same number of frames and the same seed: the same groups walk past
the same cameras, and the same labels say where.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED

from PIL import Image

from pipeline.demo.city1m.backgrounds import PLACES, Backgrounds, Place
from pipeline.demo.city1m.lite.labels import write_labels
from pipeline.demo.city1m.lite.members import DrawnGroup, draw_members
from pipeline.demo.city1m.lite.traps import CropFile, plant_traps
from pipeline.demo.city1m.traps import Planted
from pipeline.demo.city1m.writer import Archives, Member
from pipeline.demo.folder import DemoSummary, check_arguments, publish, work_folder
from pipeline.demo.parallel import processes
from pipeline.demo.world import plan_groups
from shards_spec.cores import usable_cores

FEWEST_FRAMES = 20
FEWEST_FRAMES_WITH_TRAPS = 60

CONTAINERS = {
    2: "Image_2_crop.zip",
    3: "Image_3_crop",
    4: "Image_4_crop.zip",
    5: "Image_5_crop",
    6: "Image_6_crop.zip",
}
"""Folder or zip of the crops, by the size of the groups. City1M's README writes ``Image_2_crop``."""
CONTAINERS_WITH_TRAPS = {**CONTAINERS, 4: "Images_4_crop.zip", 5: "images_5_crop"}
BACKGROUNDS = "background"


def make_city1m_lite(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw a look-alike of City1M-Lite; see ``make_demo``.

    Args:
        out: The folder.
        images: How many frames are labelled, at least 20, or 60 with traps. Crops of members are drawn instead of them.
        seed: The seed of the drawings.
        traps: Whether to plant surprises.
        workers: Number of processes that draw.
        progress: A function that is called with the number of frames done and of all frames.
    """
    check_arguments(out, "city1m-lite", images, FEWEST_FRAMES_WITH_TRAPS if traps else FEWEST_FRAMES, seed, workers)
    groups = list(plan_groups(images))
    with work_folder(out) as work:
        streets, files = work / "streets", work / "files"
        streets.mkdir()
        files.mkdir()
        backgrounds = Backgrounds(seed, streets)
        with processes(workers or usable_cores()) as run:
            qualities = dict(zip(PLACES, run(backgrounds.draw, PLACES), strict=True))
            drawn = _counted(run(partial(draw_members, backgrounds, qualities), groups), images, progress)
            planted = _write_set(files, seed, list(drawn), traps=traps)
        _write_backgrounds(files / BACKGROUNDS, backgrounds, qualities)
        identities = sum(group.size for group in groups)
        counts = {"crops": identities, "groups": len(groups), "identities": identities, "labelled frames": images}
        return publish(
            files,
            out,
            source="city1m-lite",
            seed=seed,
            counts=counts,
            traps=Counter(place.trap for place in planted),
            planted=planted,
            rejected=sum(place.effect == "reject" and place.line is None for place in planted),
        )


def _counted(
    drawn: Iterator[DrawnGroup], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[DrawnGroup]:
    done = 0
    for group in drawn:
        yield group
        done += len(group.labels)
        if progress is not None:
            progress(done, total)


def _write_set(files: Path, seed: int, drawn: list[DrawnGroup], *, traps: bool) -> list[Planted]:
    """Write crops and label files; return where traps show."""
    containers = CONTAINERS_WITH_TRAPS if traps else CONTAINERS
    crops = {group.group.number: list(_crops(group, containers[group.group.size])) for group in drawn}
    cropped = next(group for group in drawn if group.group.size == 3) if traps else None
    planted = [] if cropped is None else list(plant_traps(seed, drawn, crops, cropped))
    zips = sorted({crop.member.archive for some in crops.values() for crop in some if crop.is_packed})
    methods = {name: ZIP_DEFLATED if "_4_" in name else ZIP_STORED for name in zips}
    with Archives(files, methods) as archives:
        for group in drawn:
            for crop in crops[group.group.number]:
                _write(files, archives, crop)
    return planted + write_labels(files, seed, drawn, None if cropped is None else cropped.frame)


def _crops(group: DrawnGroup, container: str) -> Iterator[CropFile]:
    folder = f"{container.removesuffix('.zip')}/{group.group.group_id}"
    for person, content in group.crops.items():
        yield CropFile(Member(container, f"{folder}/{person}.jpg", content))


def _write(files: Path, archives: Archives, crop: CropFile) -> None:
    if crop.is_packed:
        archives.write(crop.member)
        return
    file = files / crop.member.name
    file.parent.mkdir(parents=True, exist_ok=True)
    if crop.link is not None:
        file.symlink_to(crop.link)
    else:
        file.write_bytes(crop.member.content)


def _write_backgrounds(folder: Path, backgrounds: Backgrounds, qualities: dict[Place, int]) -> None:
    folder.mkdir()
    for place in PLACES:
        stream = BytesIO()
        Image.fromarray(backgrounds.load(place)).save(stream, "JPEG", quality=qualities[place], subsampling="4:2:0")
        (folder / f"cam{place[0]}_{place[1]}.jpg").write_bytes(stream.getvalue())
