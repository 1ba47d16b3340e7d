"""COCO detection JSON: ``images`` and ``annotations``, joined by the images' ids.

The format is described at https://cocodataset.org/#format-data. What names the person is no part of it, so each tool
and dataset has a field of its own: ``person_id``, ``instance_id``, ``track_id``, or one below ``attributes``.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.samples import Notes
from pipeline.sources.tables.coco.types import (
    Annotation,
    Category,
    CocoTop,
    Id,
    Image,
    Scalar,
    annotation_type,
    persons,
)
from pipeline.sources.tables.labels.table import BOX, bad_row, label_batch, label_where, spell
from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import decode_json
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Note, Reject
from shards_spec.storage import FileInfo, Store

LARGEST_JSON = 4 << 30
"""Bytes of the largest file that is read. It is in memory as a whole while its annotations are read: a file of 1 GB
takes 2.5 GB at most."""

_BATCH = 1 << 16
_NOT_FINITE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b')
"""Strings, and what JSON has no word for but some writers write. Strings are matched so that nothing in them is."""

_files = msgspec.json.Decoder(CocoTop)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_images = msgspec.json.Decoder(Image)


@dataclass(slots=True)
class CocoFile:
    """What a JSON file says."""

    source: SourceFile
    batches: list[pa.RecordBatch]
    """Its boxes, in batches of ``LABEL_SCHEMA``; ``row`` is the annotation's number, from 1."""
    categories: list[npt.NDArray[np.int32]]
    """For each batch, the category of each box as its position in ``names``; -1 if it has none."""
    names: list[str]
    """The different names of categories."""
    rejects: list[Reject] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    """Crowds, which are left out, and annotations with a run-length encoded mask, of which only the box is used."""
    unused_images: list[str] = field(default_factory=list)
    """Images that no annotation names."""
    fields: Counter[str] = field(default_factory=Counter)
    """How many annotations have each field that may name a person."""
    annotations: int = 0


def read_coco(store: Store, file: FileInfo, number: int, person_field: str) -> CocoFile:
    """Read a file of COCO detection JSON.

    Args:
        store: The store with the file.
        file: The file.
        number: The number that its rows have in the column ``file``.
        person_field: The field of annotations that names the person; "auto" for ``PERSON_FIELD``, ``NO_FIELD`` for
            none.

    Raises:
        UsageError: It is not COCO detection JSON, or too large.
    """
    where = f"{store.url}/{file.path}"
    if file.size > LARGEST_JSON:
        raise UsageError(f"{where} has {file.size:,} bytes: at most {LARGEST_JSON:,} are read: part it by images")
    data = store.read(file.path, 0, file.size)
    source = SourceFile(file.path, len(data), hashlib.sha256(data).hexdigest())
    top, images, raws = _take_apart(data, where)
    del data
    found = CocoFile(source, [], [], [])
    index = _Images.read(images, where)
    del images
    names = _CategoryNames.of(top.categories)
    reader = _AnnotationReader(index, names, person_field, number, file.path, found)
    for start in range(0, len(raws), _BATCH):
        reader.read(raws[start : start + _BATCH], start)
    found.names = list(names.numbers)
    found.annotations = len(raws)
    found.unused_images = index.unused()
    return found


def _take_apart(data: bytes, where: str) -> tuple[CocoTop, list[msgspec.Raw], list[msgspec.Raw]]:
    """Return the file without its images and annotations, and these as texts that are not decoded yet."""
    text: Any = memoryview(data)[3:] if data.startswith(b"\xef\xbb\xbf") else data
    try:
        return _decode_top(text)
    except SpecError as error:
        if b"NaN" not in data and b"Infinity" not in data:
            raise UsageError(f"{where} is no COCO detection JSON: {error}") from error
    text = _NOT_FINITE.sub(lambda match: match[0] if match[0][:1] == b'"' else b"null", data)
    try:
        return _decode_top(text)
    except SpecError as error:
        raise UsageError(f"{where} is no COCO detection JSON: {error}") from error


def _decode_top(text: Any) -> tuple[CocoTop, list[msgspec.Raw], list[msgspec.Raw]]:
    top = decode_json(_files, text)
    return top, decode_json(_raws, top.images), decode_json(_raws, top.annotations)


@dataclass(slots=True)
class _CategoryNames:
    by_id: dict[Id, int]
    numbers: dict[str, int]
    """The number of each name, in their order."""

    @classmethod
    def of(cls, categories: Sequence[Category]) -> "_CategoryNames":
        numbers = {name: number for number, name in enumerate(sorted({category.name for category in categories}))}
        return cls({category.id: numbers[category.name] for category in categories}, numbers)

    def add(self, id_: Id) -> int:
        """Return the number of a category that the file does not list; it is named by its id."""
        return self.by_id.setdefault(id_, self.numbers.setdefault(str(id_), len(self.numbers)))


@dataclass(slots=True)
class _Images:
    """The images that a file lists."""

    by_id: dict[Id, int]
    """Position of each image by its id; -1 if two images have it."""
    names: list[str]
    columns: dict[str, npt.NDArray[Any]]
    """``frame_width`` and ``frame_height`` as double, ``camera`` and ``group_id`` as objects, ``[images]``."""
    is_used: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, raws: Sequence[msgspec.Raw], where: str) -> "_Images":
        by_id: dict[Id, int] = {}
        names: list[str] = []
        sizes = np.full((len(raws), 2), np.nan)
        texts: dict[str, list[str | None]] = {"camera": [], "group_id": []}
        for position, raw in enumerate(raws):
            try:
                image = decode_json(_images, raw)
            except SpecError as error:
                raise UsageError(f"{where}: images[{position}]: {error}") from error
            if image.id not in by_id:
                by_id[image.id] = position
            elif names[by_id[image.id]] != image.file_name:
                by_id[image.id] = -1
            names.append(image.file_name)
            sizes[position] = (image.width or np.nan, image.height or np.nan)
            texts["camera"].append(spell(_first(image.camera, image.camera_id, image.cam_id)))
            texts["group_id"].append(spell(image.group_id))
        columns: dict[str, Any] = {name: np.array(values, object) for name, values in texts.items()}
        columns |= {"frame_width": sizes[:, 0], "frame_height": sizes[:, 1]}
        return cls(by_id, names, columns, np.zeros(len(raws), bool))

    def unused(self) -> list[str]:
        used = {self.names[position] for position in np.flatnonzero(self.is_used).tolist()}
        return sorted({name for name in self.names if name not in used})


class _AnnotationReader:
    """Turns annotations into batches of labels."""

    def __init__(
        self, images: _Images, categories: _CategoryNames, person_field: str, number: int, file: str, found: CocoFile
    ) -> None:
        self._images, self._categories, self._number, self._file, self._found = images, categories, number, file, found
        self._type, self._read_person = annotation_type(person_field)
        self._decoder: msgspec.json.Decoder[Annotation] = msgspec.json.Decoder(self._type)
        self._names = pa.array(images.names, pa.large_string())

    def read(self, raws: Sequence[msgspec.Raw], start: int) -> None:
        """Add a batch of annotations, of which the first one has the number ``start``, from 0."""
        rows: list[int] = []
        taken: list[Any] = []
        positions: list[int] = []
        for row, annotation in self._decode(raws, start):
            position = self._images.by_id.get(annotation.image_id)
            if position is None or position < 0:
                why = "which no image has" if position is None else "which two images have"
                self._found.rejects.append(bad_row(self._file, row, f"image_id is {annotation.image_id!r}, {why}"))
                continue
            self._images.is_used[position] = True
            rows.append(row)
            taken.append(annotation)
            positions.append(position)
        if not rows:
            return
        at = np.array(positions)
        boxes = np.array([annotation.bbox for annotation in taken], float)
        cameras = [
            spell(
                _first(
                    annotation.camera, annotation.camera_id, annotation.cam_id, self._images.columns["camera"][place]
                )
            )
            for annotation, place in zip(taken, positions, strict=True)
        ]
        columns: dict[str, Any] = {
            "path": self._names.take(pa.array(at)),
            "person_id": pa.array([spell(self._read_person(annotation)) for annotation in taken], pa.large_string()),
            "box_id": pa.array([spell(annotation.id) for annotation in taken], pa.large_string()),
            "camera": pa.array(cameras, pa.large_string()),
            "group_id": pa.array(self._images.columns["group_id"][at].tolist(), pa.large_string()),
            **{axis: pa.array(np.ascontiguousarray(boxes[:, place])) for place, axis in enumerate(BOX)},
            **{
                name: pa.array(self._images.columns[name][at], from_pandas=True)
                for name in ("frame_width", "frame_height")
            },
        }
        batch, kept, rejects = label_batch(columns, self._number, np.array(rows), self._file)
        ids = [annotation.category_id for annotation in taken]
        codes = np.array([-1 if id_ is None else self._code(id_) for id_ in ids], np.int32)
        self._found.batches.append(batch)
        self._found.categories.append(codes[kept])
        self._found.rejects += rejects

    def _code(self, id_: Id) -> int:
        code = self._categories.by_id.get(id_)
        return self._categories.add(id_) if code is None else code

    def _decode(self, raws: Sequence[msgspec.Raw], start: int) -> Iterator[tuple[int, Any]]:
        """Yield the annotations of single persons that have their types, each with its number from 1."""
        decode, found, fields = self._decoder.decode, self._found, self._found.fields
        for row, raw in enumerate(raws, start + 1):
            try:
                annotation = decode(raw)
                if len(annotation.bbox) != len(BOX):
                    raise msgspec.ValidationError(f"bbox has {len(annotation.bbox)} numbers, not 4")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                found.rejects.append(bad_row(self._file, row, str(error)))
                continue
            for name, value in persons(annotation):
                if value is not None:
                    fields[name] += 1
            if annotation.segmentation is not msgspec.UNSET and bytes(annotation.segmentation)[:1] == b"{":
                found.notes.add(Note.MASK_ENCODED, label_where(self._file, row))
            if annotation.iscrowd:
                found.notes.add(Note.ANNOTATION_IGNORED, label_where(self._file, row))
                continue
            yield row, annotation


def _first(*values: Scalar) -> Scalar:
    return next((value for value in values if value is not None), None)
