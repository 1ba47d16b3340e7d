"""Pictures of samples: read from the shards by byte ranges, decoded, and made small."""

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from zlib_ng.zlib_ng import crc32

from pipeline.report.rows import SetRows, ShardRows
from shards_spec.errors import SpecError
from shards_spec.images import ImageError, decode_image
from shards_spec.index_read import IndexReader
from shards_spec.manifest import Manifest
from shards_spec.storage import ReadableStore, open_buffered, read_ahead

WIDTH, HEIGHT = 150, 200
"""Most pixels of a picture across and down."""
_QUALITY = 80
_LARGEST_BYTES = 32 * 2**20
"""Size of the largest image that is read to be shown."""
_COLUMNS = ("key", "image_width", "image_height", "roi_left", "roi_top", "roi_width", "roi_height")


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample to show."""

    key: str
    width: int
    """Of the image in the shard."""
    height: int
    roi: tuple[int, int, int, int]
    """Where the person lies in it."""
    data: str
    """The small picture as a data URL, which is empty if there is none."""
    fault: str
    """Why there is no picture."""

    @property
    def is_whole(self) -> bool:
        """Whether the person is the whole image, as in images that were taken over untouched."""
        return self.roi == (0, 0, self.width, self.height)


@dataclass(frozen=True, slots=True)
class _Place:
    row: int
    file: str
    bytes: int
    sample: dict[str, Any]


def read_pictures(
    store: ReadableStore, manifest: Manifest, rows: SetRows, wanted: Iterable[int], *, images: bool
) -> dict[int, Picture]:
    """Return the pictures of some samples, by row.

    A picture that cannot be read or decoded has a fault in place of its data.

    Args:
        store: Where the set lies.
        manifest: Of the set.
        rows: Of the set.
        wanted: The rows to show.
        images: Whether to read the images. Without them only the index is read.
    """
    places = list(_find(store, manifest, rows, sorted(set(wanted))))

    def read(place: _Place) -> tuple[bytes, str]:
        return _read(store, place) if images else (b"", "")

    found = read_ahead(read, places, store.reads_at_once)
    return {place.row: _picture(place.sample, *result) for place, result in zip(places, found, strict=True)}


def _find(store: ReadableStore, manifest: Manifest, rows: SetRows, wanted: list[int]) -> Iterator[_Place]:
    """Yield where the samples lie, reading each row group of the indexes at most once."""
    left = iter(wanted)
    row = next(left, None)
    reader: IndexReader | None = None
    of_cell = ""
    for shard in rows.shards:
        numbers = []
        while row is not None and row < shard.stop:
            numbers.append(row)
            row = next(left, None)
        if not numbers:
            continue
        if reader is None or of_cell != shard.cell:
            cell = manifest.cells[shard.cell]
            of_cell, reader = shard.cell, IndexReader(open_buffered(store, cell.index.file), len(cell.shards))
        yield from _places(reader, shard, numbers, rows.columns.image)


def _places(reader: IndexReader, shard: ShardRows, numbers: list[int], image: str | None) -> Iterator[_Place]:
    of_file = {f"{image}_{what}": what for what in ("offset", "size", "crc32")}
    table = reader.read(shard.group, shard.shard, [*_COLUMNS, *of_file])
    table = table.take([number - shard.start for number in numbers]).rename_columns([*_COLUMNS, *of_file.values()])
    for number, sample in zip(numbers, table.to_pylist(), strict=True):
        yield _Place(number, shard.shard.file, shard.shard.bytes, sample)


def _read(store: ReadableStore, place: _Place) -> tuple[bytes, str]:
    """Return the bytes of an image, or none and the reason."""
    start, size = place.sample["offset"], place.sample["size"]
    if not (0 <= start <= start + size <= place.bytes and size <= _LARGEST_BYTES):
        return b"", "The index says that it lies outside its shard."
    try:
        data = store.read(place.file, start, start + size)
    except (OSError, EOFError) as error:
        return b"", f"Cannot be read: {type(error).__name__}."
    if crc32(data) != place.sample["crc32"]:
        return b"", "Its bytes are not those that its CRC-32 in the index is of."
    return data, ""


def _picture(sample: dict[str, Any], data: bytes, fault: str) -> Picture:
    url = ""
    if data:
        try:
            url = "data:image/jpeg;base64," + base64.b64encode(_small(data)).decode("ascii")
        except (ImageError, MemoryError, SpecError) as error:
            fault = f"Does not decode: {error}"
    roi = tuple(sample[f"roi_{name}"] for name in ("left", "top", "width", "height"))
    return Picture(
        key=sample["key"],
        width=max(1, sample["image_width"]),
        height=max(1, sample["image_height"]),
        roi=(roi[0], roi[1], max(0, roi[2]), max(0, roi[3])),
        data=url,
        fault=fault,
    )


def _small(data: bytes) -> bytes:
    """Decode an image and return a JPEG of it that is at most ``WIDTH`` by ``HEIGHT`` pixels."""
    image = decode_image(data)
    scale = min(WIDTH / image.width, HEIGHT / image.height, 1.0)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    buffer = io.BytesIO()
    image.resize(size).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
