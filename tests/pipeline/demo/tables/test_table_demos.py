"""The demos of labelled frames and crops: same bytes, and what they claim to hold."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.demo import make_demo
from pipeline.demo.folder import DemoError
from pipeline.demo.tables.scenes import SIZE, draw_frame
from pipeline.demo.tables.traps import FEWEST_FRAMES_WITH_TRAPS, FRAME_TRAPS

KINDS = {
    "coco": FEWEST_FRAMES_WITH_TRAPS,
    "boxes-table": FEWEST_FRAMES_WITH_TRAPS,
    "crops-table": 60,
    "crops-folder": 60,
}


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_demo_with_traps_is_the_same_each_time_and_names_each_trap(kind: str, tmp_path: Path) -> None:
    made = make_demo(tmp_path / "a", source=kind, images=KINDS[kind], traps=True, workers=1)
    if kind in {"boxes-table", "crops-table"}:  # the others write nothing that these do not
        make_demo(tmp_path / "b", source=kind, images=KINDS[kind], traps=True, workers=1)
        assert digests(tmp_path / "a") == digests(tmp_path / "b")
    planted = json.loads((tmp_path / "a" / "traps.json").read_text())
    assert {place["trap"] for place in planted} == set(made.traps)
    assert set(made.traps.values()) == {1}
    assert sum(place["lost"] for place in planted) == made.rejected
    assert all((place["effect"] == "reject") == (place["lost"] > 0) for place in planted)
    if kind in {"coco", "boxes-table"}:
        assert {trap.name for trap in FRAME_TRAPS} <= set(made.traps)


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_images_than_have_room_for_all_are_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="too few"):
        make_demo(tmp_path / "a", source=kind, images=9, workers=1)


def test_boxes_are_where_persons_are_drawn() -> None:
    empty, _ = draw_frame(0, 1, 5, [])
    full, boxes = draw_frame(0, 1, 5, [1, 2])
    pixels = [np.asarray(Image.open(io.BytesIO(data)), np.int16) for data in (empty, full)]
    changed = np.abs(pixels[0] - pixels[1]).max(axis=2) > 60
    assert changed.sum() > 100
    for x, y, width, height in boxes:
        assert 0 <= x < x + width <= SIZE[0]
        assert 0 <= y < y + height <= SIZE[1]
        changed[int(y) - 8 : int(y + height) + 9, int(x) - 8 : int(x + width) + 9] = False
    assert not changed.any()  # JPEG blocks reach beyond a box


def test_coco_and_the_tables_say_the_same(tmp_path: Path) -> None:
    coco, tables = tmp_path / "coco", tmp_path / "tables"
    for source, folder in (("coco", coco), ("boxes-table", tables)):
        made = make_demo(folder, source=source, images=24, workers=1)
        assert made.counts == {"frames": 24, "boxes": 72, "identities": 8, "queries": 4}
    annotations = [
        (split, image["file_name"], *one["bbox"], one["person_id"])
        for split in ("train", "gallery")
        for told in [json.loads((coco / "annotations" / f"{split}.json").read_text())]
        for one in told["annotations"]
        for image in told["images"]
        if image["id"] == one["image_id"]
    ]
    rows = duckdb.execute(
        f"SELECT split, file, x, y, w, h, person_id::INT FROM '{tables}/train.csv' "
        f"UNION ALL SELECT split, file, x, y, w, h, person_id::INT FROM '{tables}/gallery.jsonl'"
    ).fetchall()
    assert sorted(map(repr, rows)) == sorted(map(repr, annotations))
    assert pq.read_metadata(tables / "query.parquet").num_rows == 4
    names = {path.relative_to(coco / "photos").as_posix() for path in (coco / "photos").rglob("*.jpg")}
    with zipfile.ZipFile(coco / "dusk.zip") as dusk, tarfile.open(coco / "night.tar") as night:
        names |= {*dusk.namelist(), *night.getnames()}
    assert names == {row[1] for row in rows}
