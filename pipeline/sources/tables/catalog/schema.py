"""The rows of a table's catalog: frames with boxes, or crops, as columns and as objects."""

from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import EntryRequest, FileRequest, TarRequest, ZipRequest
from pipeline.sources.catalog import column_values, row_values
from pipeline.sources.tables.files.files import Container
from shards_spec.keys import keys_of_paths, path_key
from shards_spec.variants.tables import IdKind
from shards_spec.variants.tables.extra import Scalar

_TEXT = pa.large_string()
_CODED = pa.dictionary(pa.int32(), _TEXT)


PLACE = (
    pa.field("container", pa.uint8(), nullable=False),  # a ``Container``
    pa.field("archive", _CODED, nullable=False),  # what rejects call the place; path of the zip or tar
    pa.field("entry", _TEXT, nullable=False),  # path in the archive as spelled, or of a file below the source's root
    pa.field("offset", pa.int64(), nullable=False),  # where the entry begins in the archive
    pa.field("extent", pa.int64(), nullable=False),  # zip: bytes up to what follows the entry
    pa.field("compressed_size", pa.int64(), nullable=False),  # zip
    pa.field("size", pa.int64(), nullable=False),
    pa.field("header_size", pa.int32(), nullable=False),  # tar
    pa.field("crc32", pa.uint32(), nullable=False),  # zip: of the content; tar: of the header
    pa.field("method", pa.uint16(), nullable=False),  # zip: how the entry is packed
)
"""Columns that say where to read the image; 0 where its container has no such number."""

_ROW = (
    pa.field("cell", _CODED, nullable=False),
    pa.field("group", _CODED),
    pa.field("samples", pa.int32(), nullable=False),
)

BOXES_SCHEMA = pa.schema(
    [
        *_ROW,
        pa.field("frame", _TEXT, nullable=False),  # path as the labels spell it
        pa.field("has_own_key", pa.uint8(), nullable=False),  # 1 or 0: whether no other frame's path gives the same key
        pa.field("camera", pa.int32()),
        pa.field("group_id", _CODED),
        pa.field("frame_width", pa.int32()),  # pixels, as labelled
        pa.field("frame_height", pa.int32()),
        # One value for each box, in the order of the labels.
        pa.field("box_id", pa.list_(_TEXT), nullable=False),
        pa.field("person_id", pa.list_(_TEXT), nullable=False),
        pa.field("id_kind", pa.list_(_TEXT), nullable=False),
        pa.field("box", pa.list_(pa.float64()), nullable=False),  # four numbers: left, top, width, height in pixels
        pa.field("extra", pa.list_(_TEXT), nullable=False),  # a JSON object of all further columns
        *PLACE,
    ]
)
"""One row for each frame and cell."""

IMAGES_SCHEMA = pa.schema(
    [
        *_ROW,
        pa.field("image", _TEXT, nullable=False),  # path as the labels spell it
        pa.field("has_own_key", pa.uint8(), nullable=False),
        pa.field("person_id", _CODED),
        pa.field("id_kind", _CODED, nullable=False),
        pa.field("camera", pa.int32()),
        pa.field("group_id", _CODED),
        pa.field("extra", _TEXT, nullable=False),
        *PLACE,
    ]
)
"""One row for each crop."""

_extras = msgspec.json.Decoder(dict[str, Scalar])


class Frame(NamedTuple):
    """A frame with its boxes of one cell; the fields but the last are columns of ``BOXES_SCHEMA``."""

    name: str
    """Path of the frame, as the labels spell it."""
    has_own_key: int
    camera: int | None
    group_id: str | None
    frame_width: int | None
    frame_height: int | None
    box_ids: Sequence[str]
    person_ids: Sequence[str | None]
    id_kinds: Sequence[IdKind]
    boxes: Sequence[float]
    """Left, top, width and height of each box in pixels of the frame."""
    extras: Sequence[str]
    archive: str
    entry: str
    request: EntryRequest
    """The request that reads the frame."""

    @property
    def samples(self) -> int:
        """Return the number of boxes."""
        return len(self.box_ids)

    @property
    def where(self) -> str:
        """Return the place of the frame in the form that rejects use."""
        return f"{self.archive}:{self.entry}"

    def key(self, position: int) -> str:
        """Return the key of a box. Only ids of digits are sure to give another key than another frame's boxes."""
        box_id = self.box_ids[position]
        is_unique = bool(self.has_own_key) and box_id.isascii() and box_id.isdigit()
        return path_key(self.name, box_id, is_unique=is_unique)

    def further(self, position: int) -> dict[str, Scalar]:
        """Return the further columns of a box."""
        return _extras.decode(self.extras[position])


class Image(msgspec.Struct, frozen=True, gc=False):
    """A crop: a row of ``IMAGES_SCHEMA``."""

    name: str
    """Path of the crop, as the labels spell it."""
    person_id: str | None
    id_kind: IdKind
    camera: int | None
    group_id: str | None
    extra: dict[str, Scalar]
    """The further columns."""
    archive: str
    entry: str
    request: EntryRequest
    """The request that reads the crop."""
    key: str
    """The key of the sample."""

    @property
    def samples(self) -> int:
        """Return 1: a crop is a sample."""
        return 1

    @property
    def where(self) -> str:
        """Return the place of the crop in the form that rejects use."""
        return f"{self.archive}:{self.entry}"


_FRAME_COLUMNS = (
    "frame", "has_own_key", "camera", "group_id", "frame_width", "frame_height", "box_id", "person_id", "id_kind",
    "box", "extra", "archive", "entry",
)  # fmt: skip
_IMAGE_COLUMNS = ("image", "person_id", "id_kind", "camera", "group_id", "extra", "archive", "entry", "has_own_key")


def frame_rows(table: pa.Table) -> list[Frame]:
    """Return the rows of a table of ``BOXES_SCHEMA``."""
    return list(map(Frame, *column_values(table, _FRAME_COLUMNS), _requests(table)))


def image_rows(table: pa.Table) -> list[Image]:
    """Return the rows of a table of ``IMAGES_SCHEMA``."""
    names, person_ids, id_kinds, cameras, groups, texts, archives, entries, has_own_key = column_values(
        table, _IMAGE_COLUMNS
    )
    extras = {text: _extras.decode(text) for text in set(texts)}
    extra = [extras[text] for text in texts]
    keys = keys_of_paths(names, has_own_key)
    columns = (names, person_ids, id_kinds, cameras, groups, extra, archives, entries, _requests(table), keys)
    return list(map(Image, *columns))


def _requests(table: pa.Table) -> Iterable[EntryRequest]:
    """Return the request of each row's image."""
    if pc.all(pc.equal(table["container"], Container.FOLDER)).as_py():  # two columns take less time than ten
        return map(FileRequest, *column_values(table, ("entry", "size")))
    return starmap(_request, row_values(table, [field.name for field in PLACE]))


def _request(container: int, archive: str, entry: str, *numbers: int) -> EntryRequest:
    offset, extent, compressed_size, size, header_size, crc32, method = numbers
    if container == Container.FOLDER:
        return FileRequest(entry, size)
    if container == Container.TAR:
        return TarRequest(archive, offset, header_size, size, crc32)
    return ZipRequest(archive, entry, offset, extent, compressed_size, size, crc32, method)
