"""Small sources of labelled tables, and their surveys."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
from PIL import Image

from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog
from shards_spec.storage import LocalStore

SIZE = (64, 48)


def picture(size: tuple[int, int] = SIZE) -> bytes:
    """A gray JPEG."""
    file = BytesIO()
    Image.new("L", size, 90).save(file, "JPEG")
    return file.getvalue()


def write_images(folder: Path, *paths: str) -> Path:
    """Write the same image under each path."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(picture())
    return folder


def survey(source: Source, folder: Path, **options: Any) -> Catalog:
    """Survey a folder."""
    return source.survey(LocalStore(folder), source.make_options(options))


def ask_duckdb(query: str) -> Any:
    """Return the one row that DuckDB finds."""
    found = duckdb.sql(query)
    assert found is not None
    (row,) = found.fetchall()
    return row


def annotation(number: int, image: int | str, person: Any = 1, **other: Any) -> dict[str, Any]:
    """An annotation of COCO JSON; each has another box."""
    box = [number % 40, 3, 9.5, 20]
    return {"id": number, "image_id": image, "category_id": 1, "bbox": box, "person_id": person, **other}


def write_coco(path: Path, names: Mapping[Any, str], annotations: list[dict[str, Any]], **other: Any) -> None:
    """Write COCO JSON, given the names of images by their ids."""
    listed = [{"id": id_, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for id_, name in names.items()]
    told = {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}], **other}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told))
