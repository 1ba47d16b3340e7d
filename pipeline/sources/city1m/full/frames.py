"""The rows of City1M-Full's catalog: frames with their members."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipeline.archives import ZipRequest
from pipeline.sources.catalog import row_values

FRAME_SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # the group id as spelled in the frame's name
        pa.field("samples", pa.int32(), nullable=False),  # number of members that are left to cut
        pa.field("name", pa.string(), nullable=False),  # the frame's name without its folder and extension
        pa.field("camera", pa.int32(), nullable=False),
        pa.field("time", pa.string(), nullable=False),  # "day" or "night"
        pa.field("archive", pa.string(), nullable=False),  # path of the archive, relative to SRC
        pa.field("entry", pa.string(), nullable=False),  # full name of the archive's entry
        pa.field("offset", pa.int64(), nullable=False),  # offset in bytes of the entry's local header in the archive
        pa.field("extent", pa.int64(), nullable=False),  # bytes from there to the next local header or to the directory
        pa.field("compressed_size", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("crc32", pa.uint32(), nullable=False),
        pa.field("method", pa.uint16(), nullable=False),  # 0 stored, 8 deflated
        # The members that are left to cut, in order of person id, with four box numbers (x, y, w, h) for each.
        pa.field("person_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("boxes", pa.list_(pa.float64()), nullable=False),
        pa.field("depths", pa.list_(pa.float64()), nullable=False),
    ]
)
"""One row for each frame that is labelled, found exactly once, and has a member left; sorted by (archive, offset)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A row of the catalog, for code that handles one frame at a time. The fields are those of ``FRAME_SCHEMA``."""

    cell: str
    group: str
    samples: int
    name: str
    camera: int
    time: Literal["day", "night"]
    archive: str
    entry: str
    offset: int
    extent: int
    compressed_size: int
    size: int
    crc32: int
    method: int
    person_ids: list[int]
    boxes: list[float]
    """Four numbers for each member."""
    depths: list[float]

    @property
    def where(self) -> str:
        """Where the frame lies, in the form that rejects use."""
        return f"{self.archive}:{self.entry}"

    @property
    def request(self) -> ZipRequest:
        """The request that reads the frame from its archive."""
        return ZipRequest(
            archive=self.archive,
            name=self.entry,
            offset=self.offset,
            extent=self.extent,
            compressed_size=self.compressed_size,
            size=self.size,
            crc32=self.crc32,
            method=self.method,
        )


def frame_rows(frames: pa.Table) -> list[Frame]:
    """Return the rows of a table of ``FRAME_SCHEMA``."""
    return [Frame(*values) for values in row_values(frames, [field.name for field in dataclasses.fields(Frame)])]
