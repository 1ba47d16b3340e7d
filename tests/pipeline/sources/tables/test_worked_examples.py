"""Each worked example of the page, as it is written there, on a folder laid out as its dataset's is in public.

No dataset is needed: where its layout is described is said at each folder.
"""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from tests.pipeline.sources.tables.support import annotation, write_coco, write_images
from tests.support.processes import run_command
from tests.test_readme import ROOT, commands

PAGE = ROOT / "pipeline" / "sources" / "tables" / "README.md"


def write_export(source: Path) -> None:
    """CVAT's "COCO 1.0": ``images/<subset>`` and ``annotations/instances_<subset>.json`` in a zip, and attributes of a
    box in ``attributes`` (https://docs.cvat.ai, "Formats", "COCO"). The labels are unpacked beside the zip."""
    write_images(source / "task", "images/default/street/000000.jpg", "images/default/street/000001.jpg")
    with zipfile.ZipFile(source / "task.zip", "w") as archive:
        for file in sorted(path for path in (source / "task").rglob("*.jpg")):
            archive.write(file, file.relative_to(source / "task").as_posix())
    shutil.rmtree(source / "task")
    boxes = [
        annotation(number, 1 + number % 2, None, attributes={"occluded": False, "person_id": f"guest {number % 2}"})
        for number in range(1, 4)
    ]
    bag = annotation(9, 1, None, attributes={"occluded": True}) | {"category_id": 2}
    categories = [{"id": 1, "name": "person", "supercategory": ""}, {"id": 2, "name": "bag", "supercategory": ""}]
    names = {1: "street/000000.jpg", 2: "street/000001.jpg"}
    write_coco(
        source / "annotations" / "instances_default.json", names, [*boxes, bag], categories=categories, licenses=[]
    )


def write_cuhk_sysu(source: Path) -> None:
    """``Image/SSM/s1.jpg``, and the files of ``tools/dataset_converters/cuhk2coco.py`` in haiyang426's
    person_search_with_mmdetection: category 0, ``instance_id`` with 5555 for nobody, one camera, and paths that begin
    with the folder that it was given."""
    write_images(source, *(f"Image/SSM/s{number}.jpg" for number in range(1, 5)))
    write_images(source, "annotation/test/train_test/preview.png")
    root = "data/CUHK-SYSU/Image/SSM"
    for split, images in {"train": (1, 2), "test": (3, 4)}.items():
        boxes = [
            annotation(number, number // 3, None, category_id=0, instance_id=pid, cam_id=0, isquery=False, area=9)
            for number, pid in enumerate((1, 5555, 2, 1, 5555, 5555))
        ]
        names = {place: f"{root}/s{number}.jpg" for place, number in enumerate(images)}
        write_coco(source / f"{split}_cocoformat.json", names, boxes, categories=[{"id": 0, "name": "person"}])


def write_prw(source: Path) -> None:
    """``frames/c1s1_000151.jpg`` with labels of Matlab in ``annotations/``, and ``train_pid.json`` and
    ``test_pid.json`` of daodaofr/AlignPS (``demo/anno/prw``): ``person_id``, and an empty segmentation. A line of
    ``query_info.txt`` is the person, the box and the frame's name."""
    frames = ("c1s1_000151", "c2s1_000176", "c1s2_071096", "c6s3_091271")
    write_images(source, *(f"frames/{name}.jpg" for name in frames))
    for name in frames:
        (source / "annotations").mkdir(exist_ok=True)
        (source / "annotations" / f"{name}.jpg.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    for part, (first, second) in {"train": frames[:2], "test": frames[2:]}.items():
        boxes = [annotation(1, 0, 928, segmentation=[], area=5453), annotation(2, 1, 928, segmentation=[])]
        boxes.append(annotation(3, 1, -2, segmentation=[]))
        write_coco(source / f"{part}_pid.json", {0: f"{first}.jpg", 1: f"{second}.jpg"}, boxes)
    x, y, w, h = annotation(1, 0)["bbox"]
    line = f"928 {x + 0.4:.4f} {y - 0.3:.4f} {w:.4f} {h:.4f} {frames[2]}\r\n"
    (source / "query_info.txt").write_text(line)
    _, *box, name = line.split()
    (source / "annotations" / "queries.csv").write_text(f"file,x,y,w,h\n{name}.jpg,{','.join(box)}\n")


def write_market(source: Path) -> None:
    """The archive of Market-1501, as its ``readme.txt`` describes it; Windows' ``Thumbs.db`` is in it as well."""
    for path in ("bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c2s1_000801_01.jpg"):
        write_images(source, path)
    for name in ("-1_c1s1_000401_03", "0000_c1s1_000151_01", "0003_c4s6_015641_00"):
        write_images(source, f"bounding_box_test/{name}.jpg")
    write_images(source, "query/0003_c1s6_015971_00.jpg", "gt_bbox/0003_c1s6_015971_00.jpg")
    (source / "gt_query").mkdir()
    (source / "gt_query" / "0003_c1s6_015971_00_good.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    (source / "bounding_box_test" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (source / "readme.txt").write_text("Market-1501\n")


def write_msmt17(source: Path) -> None:
    """``train/0000/0000_000_01_0303morning_0015_0.jpg`` and lists of paths below ``train`` and ``test``, as the readers
    of torchreid and fast-reid expect them."""
    for person in (0, 1):
        name = f"{person:04}/{person:04}_00{person}_0{person + 1}_0303morning_0015_0.jpg"
        write_images(source, f"train/{name}", f"test/{name}")
        for part in (("train", "query"), ("val", "gallery"))[person]:
            (source / f"list_{part}.txt").write_text(f"{name} {person}\n")


def write_cameras(source: Path) -> None:
    """What the page names: file, x, y, w, h, person_id, camera, split, and what else is worth keeping."""
    write_images(source, "north/0001.jpg", "south/0001.jpg")
    columns: dict[str, list[Any]] = {
        "file": ["north/0001.jpg", "south/0001.jpg"],
        "x": [9, 40],
        "y": [3, 2],
        "w": [8, 9],
        "h": [20, 30],
        "person_id": ["a", "b"],
        "camera": ["north", "south"],
        "split": ["train", "train"],
        "speed": [0.5, None],
    }
    pq.write_table(pa.table(columns), source / "labels.parquet")


EXAMPLES: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "export": (
        write_export,
        {"cells": {"p1-all": 3}, "person_field": "attributes.person_id", "category": "person", "annotation_ignored": 1},
    ),
    "CUHK-SYSU": (
        write_cuhk_sysu,
        {
            "cells": {"p1-gallery": 6, "p1-train": 6},
            "ids": {"in_train": 2, "elsewhere": 2, "in_both": 2},
            "paths": {"paths": 4, "exact": 4, "ends": 0, "left_out": "data/CUHK-SYSU/"},
        },
    ),
    "PRW": (
        write_prw,
        {"cells": {"p1-gallery": 2, "p1-gallery-query": 1, "p1-train": 3}, "cameras": {"cameras": 3, "names": []}},
    ),
    "Market-1501-v15.09.15": (
        write_market,
        {"cells": {"p1-gallery": 3, "p1-query": 1, "p1-train": 2}, "layout": "market1501", "image_unlabelled": 1},
    ),
    "MSMT17_V1": (
        write_msmt17,
        {"cells": {"p1-gallery": 1, "p1-query": 1, "p1-train": 2}, "layout": "msmt17"},
    ),
    "cameras": (
        write_cameras,
        {"cells": {"p1-train": 2}, "extra": {"columns": {"speed": "float64"}}, "box_format": "xywh"},
    ),
}


def test_every_example_of_the_page_is_here() -> None:
    assert [words[2] for words in commands(PAGE) if words[1] == "convert"] == [*EXAMPLES, "holiday"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_converts_what_its_dataset_says(
    name: str, shared_ray: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, expected = EXAMPLES[name]
    write(tmp_path / name)
    ((_, *command),) = (words for words in commands(PAGE) if words[1:3] == ["convert", name])
    monkeypatch.chdir(tmp_path)
    done = run_command(*command, *shared_ray)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(LocalStore(tmp_path / "shards"))
    assert manifest.rejects == {}
    for topic, told in expected.items():
        if topic == "cells":
            assert {cell: counts.samples for cell, counts in manifest.cells.items()} == told
        elif topic in manifest.decisions:
            decision = manifest.decisions[topic]
            assert told == (decision.choice if isinstance(told, str) else decision.evidence), topic
        else:
            assert manifest.notes[topic].count == told
