"""The demo of SYSU-30k: tars of crops, the lists of images, and the bags of weak labels."""

import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.appearance import dress
from pipeline.demo.crops import encode_crop, render_crop
from pipeline.demo.folder import DemoSummary, check_arguments, publish, work_folder
from pipeline.demo.parallel import processes
from pipeline.demo.scene import render_background
from pipeline.demo.seeds import generator
from pipeline.demo.sysu30k.plan import FEWEST_IMAGES, TEST_ROOT, TRAIN_ROOT, Crop, Plan, plan_bags, plan_crops
from pipeline.demo.sysu30k.tars import Entry, TarFile, split_file
from pipeline.demo.sysu30k.traps import EXTRA_ENTRIES, TRAPS, Planted, Trap
from pipeline.demo.world import CAMERAS
from shards_spec.cores import usable_cores

TRAIN_PARTS = 3
"""Number of training tars; the dataset has ten."""
BAGS_FILE = "bag_level_label.json"
META = "meta"
_DRAWN_AT_ONCE = 50


def make_sysu30k(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw a look-alike of SYSU-30k; see ``make_demo``.

    It has at least 120 crops of about 2.8 kB. Each training part is a tar of its own; with traps, the parts are pieces
    of one tar. It is not public which of the two the dataset has.
    """
    check_arguments(out, "sysu30k", images, FEWEST_IMAGES, seed, workers)
    plan = plan_crops(seed, images)
    with work_folder(out) as work:
        streets, files = work / "streets", work / "files"
        streets.mkdir()
        (files / META).mkdir(parents=True)
        with processes(workers or usable_cores()) as run:
            list(run(partial(_draw_street, seed, streets), [camera.number for camera in CAMERAS]))
            crops = [*(crop for folder in plan.train.values() for crop in folder), *plan.query, *plan.gallery]
            batches = [crops[start : start + _DRAWN_AT_ONCE] for start in range(0, len(crops), _DRAWN_AT_ONCE)]
            drawn = (jpeg for batch in run(partial(_draw_crops, seed, streets), batches) for jpeg in batch)
            planted = _write(files, seed, plan, _counted(drawn, len(crops), progress), traps=traps)
        counts = {
            "images": len(crops),
            "folders": len(plan.train),
            "identities": plan.identities,
            "distractors": sum(crop.path.startswith("gallery/0000others/") for crop in plan.gallery),
        }
        return publish(
            files,
            out,
            source="sysu30k",
            seed=seed,
            counts=counts,
            traps=Counter(place.trap for place in planted),
            planted=planted,
            rejected=sum(place.effect == "reject" for place in planted),
        )


@dataclass(slots=True)
class _Lists:
    """The lines of the list files."""

    train: list[str] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    gallery: list[str] = field(default_factory=list)


def _write(files: Path, seed: int, plan: Plan, drawn: Iterator[bytes], *, traps: bool) -> list[Planted]:
    """Write all files; return where traps show."""
    planted: list[Planted] = []
    lists = _Lists()
    parts = [files / f"{TRAIN_ROOT}_part{number}.tar" for number in range(1, TRAIN_PARTS + 1)]
    folders = list(plan.train)
    if traps:
        whole = files / f"{TRAIN_ROOT}.tar"
        _write_train(whole, plan, folders, drawn, lists, planted, _place_traps(seed, plan))
        split_file(whole, parts)
        planted.append(Planted("parts that are pieces of one tar", "nothing", parts[1].name))
    else:
        for number, part in enumerate(parts):
            own = folders[len(folders) * number // TRAIN_PARTS : len(folders) * (number + 1) // TRAIN_PARTS]
            _write_train(part, plan, own, drawn, lists, planted, {})
    _write_test(files / f"{TEST_ROOT}.tar", plan, drawn, lists, has_global_header=traps)
    if traps:
        planted.append(Planted("global PAX header", "nothing", f"{TEST_ROOT}.tar"))
    _write_lists(files / META, lists, planted, traps=traps)
    _write_bags(files / META / BAGS_FILE, seed, folders, planted, traps=traps)
    return planted


def _place_traps(seed: int, plan: Plan) -> dict[str, Trap]:
    """Return the traps by the path of the image that each affects, at most one in a row."""
    paths = [crop.path for folder in plan.train.values() for crop in folder]
    assert len(paths) >= 2 * len(TRAPS), "the smallest demo has room for all traps"
    order = generator(seed, "traps").permutation(len(paths) // 2)[: len(TRAPS)]
    return {paths[2 * int(index) + 1]: trap for index, trap in zip(order, TRAPS, strict=True)}


def _write_train(
    tar: Path,
    plan: Plan,
    folders: list[str],
    drawn: Iterator[bytes],
    lists: _Lists,
    planted: list[Planted],
    traps: dict[str, Trap],
) -> None:
    with TarFile(tar) as archive:
        archive.write(Entry(f"{TRAIN_ROOT}/", kind=tarfile.DIRTYPE))
        for folder in folders:
            archive.write(Entry(f"{TRAIN_ROOT}/{folder}/", kind=tarfile.DIRTYPE))
            for crop in plan.train[folder]:
                entry = Entry(f"{TRAIN_ROOT}/{crop.path}", next(drawn))
                trap = traps.get(crop.path)
                written = (entry,) if trap is None else trap.apply(entry)
                for one in written:
                    archive.write(one)
                path = (written[0] if written else entry).name.removeprefix(f"{TRAIN_ROOT}/")
                if trap is None or trap.is_listed:
                    lists.train.append(path)
                if trap is not None:
                    planted.append(Planted(trap.name, trap.effect, f"{TRAIN_ROOT}_part*.tar", path))
        for extra in EXTRA_ENTRIES if traps else ():
            archive.write(Entry(f"{TRAIN_ROOT}/{folders[0]}/{extra.name}", extra.content))
            planted.append(Planted("entry that is no image", "note", f"{TRAIN_ROOT}_part*.tar", extra.name))


def _write_test(tar: Path, plan: Plan, drawn: Iterator[bytes], lists: _Lists, *, has_global_header: bool) -> None:
    with TarFile(tar, {"comment": "test images"} if has_global_header else None) as archive:
        for split, crops in (("query", plan.query), ("gallery", plan.gallery)):
            for crop in crops:
                archive.write(Entry(f"{TEST_ROOT}/{crop.path}", next(drawn)))
                getattr(lists, split).append(crop.path.removeprefix(f"{split}/"))


def _write_lists(folder: Path, lists: _Lists, planted: list[Planted], *, traps: bool) -> None:
    for name in ("train", "query", "gallery"):
        lines, end, start = list(getattr(lists, name)), "\n", ""
        if traps and name == "train":
            lines.insert(7, lines[3])
            lines.insert(11, "")
            planted += [
                Planted("line that comes twice", "note", f"{META}/train.txt", lines[3]),
                Planted("blank line", "note", f"{META}/train.txt", "line 12"),
            ]
        if traps and name == "query":
            end, start = "\r\n", "\ufeff"
            planted += [
                Planted("carriage returns", "note", f"{META}/query.txt"),
                Planted("byte order mark", "note", f"{META}/query.txt"),
            ]
        if traps and name == "gallery":  # a second column, as lists of images with labels have it
            lines = [f"{line} {line.partition('/')[0].lstrip('0') or 0}" for line in lines]
            planted.append(Planted("second column", "nothing", f"{META}/gallery.txt"))
        (folder / f"{name}.txt").write_text(start + "".join(line + end for line in lines), encoding="utf-8", newline="")


def _write_bags(file: Path, seed: int, folders: list[str], planted: list[Planted], *, traps: bool) -> None:
    bags = plan_bags(seed, folders[:-1] if traps else folders)
    if traps:
        bags[0]["BagLabel"].append(bags[0]["BagLabel"][0])
        bags[1]["BagLabel"].append(99_999)
        bags[1]["BagImages"].append(f"{99_999:010d}/*")
        planted += [
            Planted("label that comes twice in a bag", "note", f"{META}/{BAGS_FILE}", bags[0]["BagID"]),
            Planted("bag that names no folder", "note", f"{META}/{BAGS_FILE}", bags[1]["BagID"]),
            Planted("folder in no bag", "note", f"{META}/{BAGS_FILE}", folders[-1]),
        ]
    file.write_text(json.dumps(bags) + "\n", encoding="utf-8")


def _counted(drawn: Iterator[bytes], total: int, progress: Callable[[int, int], None] | None) -> Iterator[bytes]:
    for done, jpeg in enumerate(drawn, start=1):
        yield jpeg
        if progress is not None:
            progress(done, total)


def _street_file(seed: int, folder: Path, camera: int) -> Path:
    return folder / f"{seed}-{camera}.npy"


def _draw_street(seed: int, folder: Path, number: int) -> None:
    camera = next(camera for camera in CAMERAS if camera.number == number)
    np.save(_street_file(seed, folder, number), render_background(seed, camera, "day"))


@lru_cache(maxsize=len(CAMERAS))
def _load_street(file: Path) -> NDArray[np.uint8]:
    street: NDArray[np.uint8] = np.load(file)
    return street


def _draw_crops(seed: int, streets: Path, crops: list[Crop]) -> list[bytes]:
    """Return the JPEGs of some crops, each of which depends only on the seed and on its path."""
    drawn = []
    for crop in crops:
        random = generator(seed, f"crop {crop.path}")
        street = _load_street(_street_file(seed, streets, crop.camera))
        drawn.append(encode_crop(render_crop(dress(seed, crop.person, 0), street, random)))
    return drawn
