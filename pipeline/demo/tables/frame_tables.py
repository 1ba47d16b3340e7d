"""Labels of frames as tables: CSV for training, JSON Lines for the gallery, Parquet for the queries."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.demo.tables.shots import LabelledBox, Shot
from pipeline.demo.tables.traps import Planted

_SCHEMA = pa.schema(
    [
        *(("file", pa.string()), *((axis, pa.float64()) for axis in "xywh")),
        *(("person_id", pa.string()), ("camera", pa.int64()), ("split", pa.string()), ("group_id", pa.string())),
        *(("frame_width", pa.int64()), ("frame_height", pa.int64()), ("age", pa.int64())),
    ]
)


def write_tables(folder: Path, seed: int, shots: Sequence[Shot], traps: bool) -> list[Planted]:  # noqa: ARG001
    """Write a table for each split. A query has a row in the table of the gallery as well."""
    rows = {
        split: [_row(shot, box, split) for shot in shots if shot.split == split for box in shot.boxes]
        for split in ("train", "gallery")
    }
    queries = [_row(shot, box, "query") for shot in shots for box in shot.boxes if box.is_query]
    planted = []
    if traps:
        rows["train"].insert(5, rows["train"][2])
        planted = [Planted("row that comes twice", "note", "train.csv")]
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _SCHEMA.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows["train"])
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows["gallery"]]
    (folder / "gallery.jsonl").write_text("".join(lines), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(queries, _SCHEMA), folder / "query.parquet")
    return planted


def _row(shot: Shot, box: LabelledBox, split: str) -> dict[str, Any]:
    numbers = dict.fromkeys("xywh") if box.is_missing else dict(zip("xywh", box.box, strict=True))
    return {
        "file": shot.listed,
        **numbers,
        "person_id": None if box.person is None else str(box.person),
        "camera": shot.camera,
        "split": split,
        "group_id": shot.group,
        "frame_width": shot.size[0],
        "frame_height": shot.size[1],
        "age": box.age,
    }
