"""The demos of crops: a table, and folders as Market-1501 has them."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.demo.folder import DemoSummary, check_arguments, publish, work_folder
from pipeline.demo.parallel import processes
from pipeline.demo.tables.files import ImageFiles, open_images
from pipeline.demo.tables.scenes import CAMERAS, draw_crop, encode
from pipeline.demo.tables.traps import Planted
from shards_spec.cores import usable_cores

FEWEST_CROPS = 60
_DRAWN_AT_ONCE = 200
_SHOTS_A_PERSON = 6
_FOLDERS = {"train": "bounding_box_train", "gallery": "bounding_box_test", "query": "query"}
_ORIENTATION = 0x0112
_COLUMNS = ("file", "person_id", "id_kind", "camera", "split", "age", "is_bag_carried")


@dataclass(slots=True)
class Crop:
    """A crop of the demo, and what labels say of it. Traps change some of them."""

    number: int
    split: str
    person: int
    camera: int
    name: str
    """The file's name as re-ID folders spell it: ``0002_c1s1_000451_03.jpg``."""
    kind: str = "labelled"
    content: bytes = b""


def make_crops_table(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw crops in a folder and a zip, with labels in a CSV table; see ``make_demo``."""
    return _make("crops-table", _write_table, out, images, seed, workers, progress, traps=traps)


def make_crops_folder(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw crops in folders as Market-1501 has them, with labels in their names; see ``make_demo``."""
    return _make("crops-folder", _write_folders, out, images, seed, workers, progress, traps=traps)


def plan_crops(count: int) -> Iterator[Crop]:
    """Yield the crops: half for training, a query for each test identity and camera, and a few of nobody.

    Every identity is seen by all cameras.
    """
    cameras = list(CAMERAS)
    training = count // 2
    others = max(4, count // 20)
    for index in range(count):
        camera = cameras[index % len(cameras)]
        if index < training:
            split, person, kind = "train", 2 + index // _SHOTS_A_PERSON, "labelled"
        elif index < count - others:
            place = index - training
            person, kind = 1001 + place // _SHOTS_A_PERSON, "labelled"
            split = "query" if place % _SHOTS_A_PERSON < len(cameras) else "gallery"
        else:
            split, (person, kind) = "gallery", ((0, "distractor") if index % 2 else (-1, "junk"))
        spelled = "-1" if kind == "junk" else f"{person:04d}"
        yield Crop(index, split, person, camera, f"{spelled}_c{camera}s1_{index:06d}_00.jpg", kind)


def _make(
    source: str,
    write: Callable[[Path, list[Crop], bool], list[Planted]],
    out: Path,
    images: int,
    seed: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
    *,
    traps: bool,
) -> DemoSummary:
    check_arguments(out, source, images, FEWEST_CROPS, seed, workers)
    crops = list(plan_crops(images))
    with work_folder(out) as work:
        files = work / "files"
        files.mkdir()
        batches = [crops[start : start + _DRAWN_AT_ONCE] for start in range(0, len(crops), _DRAWN_AT_ONCE)]
        with processes(1 if len(batches) == 1 else workers or usable_cores()) as run:
            drawn = (jpeg for batch in run(partial(_draw_batch, seed), batches) for jpeg in batch)
            for crop, content in zip(crops, drawn, strict=True):
                crop.content = content
                if progress is not None:
                    progress(crop.number + 1, len(crops))
        planted = write(files, crops, traps)
        counts = {
            "crops": len(crops),
            "identities": len({crop.person for crop in crops if crop.kind == "labelled"}),
            "queries": sum(crop.split == "query" for crop in crops),
        }
        return publish(
            files,
            out,
            source=source,
            seed=seed,
            counts=counts,
            traps=Counter(place.trap for place in planted),
            planted=planted,
            rejected=sum(place.lost for place in planted),
        )


def _draw_batch(seed: int, crops: Iterable[Crop]) -> list[bytes]:
    return [draw_crop(seed, crop.camera, crop.number, crop.person + 1) for crop in crops]


def _write_folders(folder: Path, crops: list[Crop], traps: bool) -> list[Planted]:
    planted = []
    with open_images(folder) as images:
        if traps:
            planted = list(_spoil(crops, lambda crop: f"{_FOLDERS[crop.split]}/{crop.name}"))
            images.write("bounding_box_train/portrait.jpg", crops[0].content)
            planted.append(Planted("name without a person", "reject", "bounding_box_train/portrait.jpg", 1))
            images.write("gt_bbox/0002_c1s1_000451_00.jpg", crops[0].content)
            planted.append(Planted("folder of no split", "note", "gt_bbox/0002_c1s1_000451_00.jpg"))
            images.write("bounding_box_train/Thumbs.db", b"no image")
            planted.append(Planted("file that is no image", "note", "bounding_box_train/Thumbs.db"))
        for crop in crops:
            images.write(f"{_FOLDERS[crop.split]}/{crop.name}", crop.content)
    return planted


def _write_table(folder: Path, crops: list[Crop], traps: bool) -> list[Planted]:
    with open_images(folder) as images:
        planted = list(_spoil(crops, lambda crop: f"cam{crop.camera}/{crop.name}")) if traps else []
        rows = [_row(crop) for crop in crops]
        for crop in crops:
            _write_crop(images, crop)
        if traps:
            planted += _spoil_table(images, crops, rows)
    with (folder / "crops.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return planted


def _write_crop(images: ImageFiles, crop: Crop) -> None:
    archive, parent = ("more.zip", "") if crop.number % 2 else (None, "images/")
    images.write(f"{parent}cam{crop.camera}/{crop.name}", crop.content, archive)


def _row(crop: Crop) -> dict[str, Any]:
    return {
        "file": f"cam{crop.camera}/{crop.name}",
        "person_id": crop.person,
        "id_kind": crop.kind,
        "camera": f"gate {crop.camera}",
        "split": crop.split,
        "age": 20 + crop.person % 50 if crop.number % 3 else None,
        "is_bag_carried": "true" if crop.number % 2 else "false",
    }


def _spoil(crops: list[Crop], path: Callable[[Crop], str]) -> Iterator[Planted]:
    """Change the files of some training crops; yield where that shows."""

    def again(crop: Crop, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
        return encode(Image.open(BytesIO(crop.content)).convert(mode), kind, **options)

    turned = Image.Exif()
    turned[_ORIENTATION] = 6
    first, second, third, fourth, fifth, sixth, seventh = crops[1:8]
    first.content = again(first, "PNG")
    yield Planted("PNG named JPEG", "note", path(first))
    second.content = again(second, exif=turned)
    yield Planted("rotation in EXIF", "note", path(second))
    third.content = again(third, progressive=True)
    yield Planted("progressive crop", "nothing", path(third))
    fourth.content = again(fourth, mode="L")
    yield Planted("grayscale crop", "nothing", path(fourth))
    fifth.content = again(fifth, mode="CMYK", subsampling="4:4:4")
    yield Planted("CMYK crop", "nothing", path(fifth))
    sixth.content = sixth.content[: len(sixth.content) // 2]
    yield Planted("truncated crop", "reject", path(sixth), 1)
    seventh.content = b""
    yield Planted("empty file", "reject", path(seventh), 1)


def _spoil_table(images: ImageFiles, crops: list[Crop], rows: list[dict[str, Any]]) -> Iterator[Planted]:
    """Add and change rows of the table; yield where that shows."""
    content = crops[0].content

    def add(file: str, **other: Any) -> None:
        rows.append({**rows[0], "file": file, **other})

    images.write("images/cam1/на мосту 1.jpg", content)
    add("cam1/на мосту 1.jpg")
    yield Planted("name in another script, with spaces", "nothing", "cam1/на мосту 1.jpg")
    images.write("images/cam1/anna.jpg", content)
    add("cam1/anna.jpg", person_id="anna")
    yield Planted("id that is a word", "nothing", "cam1/anna.jpg")
    images.write("images/cam2/unknown.jpg", content)
    add("cam2/unknown.jpg", person_id=None, id_kind=None)
    yield Planted("crop without a person", "nothing", "cam2/unknown.jpg")
    for parent in ("images", "older"):
        images.write(f"{parent}/cam3/same.jpg", content)
    add("cam3/same.jpg")
    yield Planted("same name in two folders", "reject", "cam3/same.jpg", 1)
    add("cam1/nowhere.jpg")
    yield Planted("missing crop", "reject", "cam1/nowhere.jpg", 1)
    add("")
    yield Planted("row without a file", "reject", "", 1)
    rows.append(dict(rows[9]))
    yield Planted("row that comes twice", "note", str(rows[9]["file"]))
    images.write("images/cam1/unlisted.jpg", content)
    yield Planted("present and unlisted", "note", "images/cam1/unlisted.jpg")
