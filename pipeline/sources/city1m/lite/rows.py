"""The rows of City1M-Lite's catalog: one for each crop, as columns and as objects."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipeline.archives import FileRequest, ZipRequest
from pipeline.sources.catalog import row_values
from shards_spec.keys import path_key

_CODED = pa.dictionary(pa.int32(), pa.large_string())

CROP_SCHEMA = pa.schema(
    [
        pa.field("cell", _CODED, nullable=False),
        pa.field("group", _CODED, nullable=False),  # the group id as the labels spell it
        pa.field("samples", pa.int8(), nullable=False),  # 1
        pa.field("image", pa.large_string(), nullable=False),  # path from the folder of crops on, as spelled
        pa.field("has_own_key", pa.uint8(), nullable=False),  # 1 or 0: whether no other crop's path gives the same key
        pa.field("archive", _CODED, nullable=False),  # name of the folder or zip of crops
        pa.field("entry", pa.large_string(), nullable=False),  # path below the folder, or full name in the zip
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("extent", pa.int64(), nullable=False),  # 0 in a folder
        pa.field("compressed_size", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("crc32", pa.uint32(), nullable=False),
        pa.field("method", pa.uint16(), nullable=False),
        pa.field("person_id", pa.int32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),  # labelled frames that show the member
        pa.field("members", pa.int32(), nullable=False),  # labelled members of the group
        pa.field("frame", pa.large_string()),  # name of the crop's frame; null if it belongs to its group as a whole
        pa.field("camera", pa.int32()),
        pa.field("time", pa.string()),
        pa.field("depth", pa.float64()),
        pa.field("box", pa.list_(pa.float64()), nullable=False),  # x, y, w, h; empty if it is not known
    ]
)
"""Sorted by the natural order of the archives, then by offset or path."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A row of the catalog; its fields are columns of ``CROP_SCHEMA``."""

    group: str
    image: str
    has_own_key: int
    archive: str
    entry: str
    offset: int
    extent: int
    compressed_size: int
    size: int
    crc32: int
    method: int
    person_id: int
    frames: int
    members: int
    frame: str | None
    camera: int | None
    time: Literal["day", "night"] | None
    depth: float | None
    box: list[float]
    """Four numbers; none if the box is not known."""

    @property
    def name(self) -> str:
        """Return the path by which rejects name the crop."""
        return self.image

    @property
    def samples(self) -> int:
        """Return 1: a crop is a sample."""
        return 1

    @property
    def key(self) -> str:
        """Return the key of the sample."""
        return path_key(self.image, is_unique=bool(self.has_own_key))

    @property
    def where(self) -> str:
        """Return the place of the crop in the form that rejects use."""
        return f"{self.archive}:{self.entry}"

    @property
    def request(self) -> ZipRequest | FileRequest:
        """Return the request that reads the crop."""
        return crop_request(
            self.archive, self.entry, self.offset, self.extent, self.compressed_size, self.size, self.crc32, self.method
        )


def crop_request(
    archive: str, entry: str, offset: int, extent: int, compressed_size: int, size: int, crc32: int, method: int
) -> ZipRequest | FileRequest:
    """Return the request that reads a crop, given the columns of these names."""
    if not extent:
        return FileRequest(f"{archive}/{entry}", size)
    return ZipRequest(archive, entry, offset, extent, compressed_size, size, crc32, method)


def crop_rows(table: pa.Table) -> list[Crop]:
    """Return the rows of a table of ``CROP_SCHEMA``."""
    return [Crop(*values) for values in row_values(table, _FIELDS)]


_FIELDS = [field.name for field in dataclasses.fields(Crop)]
