"""The demos of frames with labelled boxes: COCO JSON, and tables."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.demo.folder import DemoSummary, check_arguments, publish, work_folder
from pipeline.demo.parallel import processes
from pipeline.demo.seeds import generator
from pipeline.demo.tables.files import open_images
from pipeline.demo.tables.frame_tables import write_tables
from pipeline.demo.tables.scenes import SIZE, Box, draw_frame
from pipeline.demo.tables.shots import LabelledBox, Shot, choose_queries, plan_shots
from pipeline.demo.tables.traps import FEWEST_FRAMES_WITH_TRAPS, SAME_NAME, Planted, plant
from shards_spec.cores import usable_cores

FEWEST_FRAMES = 10
_FEW = 200
"""Up to so many frames, starting processes takes longer than drawing."""
_DRAWN_AT_ONCE = 50

WriteLabels = Callable[[Path, int, Sequence[Shot], bool], list[Planted]]
"""Writes the labels of frames into a folder, given the seed and whether with traps; returns further traps."""


def make_coco(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw frames with labels in COCO JSON; see ``make_demo``.

    There is a JSON file for training and one for the gallery, whose boxes ``annotations/queries.csv`` makes queries.
    """
    return _make("coco", _write_coco, out, images, seed, workers, progress, traps=traps)


def make_boxes_table(
    out: Path,
    *,
    images: int,
    seed: int,
    traps: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> DemoSummary:
    """Draw frames with labels in a CSV, a Parquet and a JSON Lines table, one a split; see ``make_demo``."""
    return _make("boxes-table", write_tables, out, images, seed, workers, progress, traps=traps)


def _make(
    source: str,
    write_labels: WriteLabels,
    out: Path,
    images: int,
    seed: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
    *,
    traps: bool,
) -> DemoSummary:
    least = FEWEST_FRAMES_WITH_TRAPS if traps else FEWEST_FRAMES
    check_arguments(out, source, images, least, seed, workers)
    shots = list(plan_shots(seed, images, SIZE))
    choose_queries(shots)
    with work_folder(out) as work:
        files = work / "files"
        files.mkdir()
        _draw(seed, shots, workers, progress)
        planted = plant(shots) if traps else []
        planted += write_labels(files, seed, shots, traps)
        _write_images(files, shots, planted)
        boxes = [box for shot in shots for box in shot.boxes]
        counts = {
            "frames": len(shots),
            "boxes": len(boxes),
            "identities": len({box.person for box in boxes if box.person is not None}),
            "queries": sum(box.is_query for box in boxes),
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


def _draw(seed: int, shots: Sequence[Shot], workers: int | None, progress: Callable[[int, int], None] | None) -> None:
    """Draw all frames, and fill in their boxes."""
    wanted = [(shot.camera, shot.number, tuple(box.shown for box in shot.boxes)) for shot in shots]
    batches = [wanted[start : start + _DRAWN_AT_ONCE] for start in range(0, len(wanted), _DRAWN_AT_ONCE)]
    done = 0
    with processes(1 if len(shots) <= _FEW else workers or usable_cores()) as run:
        for batch in run(partial(_draw_batch, seed), batches):
            for content, boxes in batch:
                shots[done].content = content
                for labelled, box in zip(shots[done].boxes, boxes, strict=True):
                    labelled.box = box
                done += 1
                if progress is not None:
                    progress(done, len(shots))


def _draw_batch(seed: int, wanted: Iterable[tuple[int, int, tuple[int, ...]]]) -> list[tuple[bytes, list[Box]]]:
    return [draw_frame(seed, camera, number, persons) for camera, number, persons in wanted]


def _write_images(folder: Path, shots: Sequence[Shot], planted: Sequence[Planted]) -> None:
    twice = {place.path for place in planted if place.trap == SAME_NAME}
    with open_images(folder) as images:
        for shot in shots:
            if shot.content:  # a trap may lose the file
                images.write(shot.path, shot.content, shot.archive)
            if shot.listed in twice:
                images.write(f"older/{shot.listed}", shot.content)


def _write_coco(folder: Path, seed: int, shots: Sequence[Shot], traps: bool) -> list[Planted]:
    (folder / "annotations").mkdir()
    planted = []
    for split in ("train", "gallery"):
        own = [shot for shot in shots if shot.split == split]
        annotations = [_annotation(shot, box) for shot in own for box in shot.boxes]
        if traps and split == "train":
            first = annotations[0]
            annotations.append({**first, "id": 900_001, "iscrowd": 1, "segmentation": {"size": [1, 1], "counts": [1]}})
            annotations.append({**first, "id": 900_002, "category_id": 2, "person_id": None})
            order = generator(seed, "annotations").permutation(len(annotations))
            annotations = [annotations[int(index)] for index in order]
            planted = [
                Planted("crowd", "note", own[0].listed),
                Planted("another category", "note", own[0].listed),
                Planted("annotations in another order", "nothing", "annotations/train.json"),
            ]
        told = {
            "images": [_image(shot) for shot in own],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}],
        }
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    queries = [f"{shot.listed},{box.number}\n" for shot in shots for box in shot.boxes if box.is_query]
    (folder / "annotations" / "queries.csv").write_text("file,box_id\n" + "".join(queries), encoding="utf-8")
    return planted


def _image(shot: Shot) -> dict[str, Any]:
    return {
        "id": 5000 + shot.number,
        "file_name": shot.listed,
        "width": shot.size[0],
        "height": shot.size[1],
        "camera": shot.camera,
        "group_id": shot.group,
    }


def _annotation(shot: Shot, box: LabelledBox) -> dict[str, Any]:
    told = {
        "id": box.number,
        "image_id": 5000 + shot.number,
        "category_id": 1,
        "bbox": list(box.box),
        "iscrowd": 0,
        "person_id": box.person,
        "age": box.age,
    }
    return {name: value for name, value in told.items() if name != "bbox" or not box.is_missing}
