"""A task of a reconstruction: reads crops and backgrounds, and writes some frames."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from PIL import Image

from pipeline.archives import EntryFault, FileRequest, ZipRequest, read_entries
from pipeline.sources.city1m.lite.compose import Placed, compose_frame
from pipeline.sources.city1m.lite.rows import crop_request
from pipeline.sources.reconstruction import FRAMES, MEMBERS, RESULT_SCHEMA
from shards_spec.images import ImageError, decode_image
from shards_spec.storage import ReadableStore, open_store

CROP_COLUMNS = ["archive", "entry", "offset", "extent", "compressed_size", "size", "crc32", "method"]

CROPS_AT_ONCE = 32 << 20
"""Bytes of crops, as they are stored, that are read for the frames of a batch."""

DECODED_PIXELS = 32_000_000
"""Most pixels of crops that are kept decoded, because many frames show the same members."""

Request = FileRequest | ZipRequest


class FramesToDraw(NamedTuple):
    """The argument of a task."""

    out_url: str
    frames: pa.Table
    """A row a frame: ``path`` of its file, ``place`` ("1-day"), and two lists: ``crops``, rows of the table of crops,
    and ``boxes``, five numbers for each of these: x, y, width, height and depth."""
    crops: pa.Table
    """The columns of ``CROP_COLUMNS``."""
    backgrounds: Mapping[str, Request]
    """The background of each place."""


def draw_frames(store: ReadableStore, task: FramesToDraw) -> pa.Table:
    """Draw frames and write each; return what was drawn and what could not be read."""
    out = open_store(task.out_url)
    crops = _Crops(store, [crop_request(**row) for row in task.crops.to_pylist()])
    backgrounds = {place: _decode(_read(store, request)) for place, request in task.backgrounds.items()}
    frames = members = 0
    for rows in _batches(task.frames.to_pylist(), crops.requests):
        crops.fetch({crop for row in rows for crop in row["crops"]})
        for row in rows:
            boxes = (row["boxes"][start : start + 5] for start in range(0, len(row["boxes"]), 5))
            placed = [
                Placed(image, (x, y, width, height), depth)
                for crop, (x, y, width, height, depth) in zip(row["crops"], boxes, strict=True)
                if (image := crops.decoded(crop)) is not None
            ]
            jpeg, drawn = compose_frame(backgrounds[row["place"]], placed)
            out.put(row["path"], jpeg)
            frames += 1
            members += drawn
    found = [(FRAMES, frames), (MEMBERS, members), *((fault, 1) for fault in sorted(crops.faults.values()))]
    return pa.Table.from_pylist([{"what": what, "count": count} for what, count in found], RESULT_SCHEMA)


class _Crops:
    """The crops of a task, which are read for a batch of frames and decoded when one shows them.

    Args:
        store: The store with the source.
        requests: The crops.
    """

    def __init__(self, store: ReadableStore, requests: Sequence[Request]) -> None:
        self.requests = requests
        self.faults: dict[int, str] = {}
        """Why a crop cannot be drawn, with its place."""
        self._store = store
        self._contents: dict[int, bytes | EntryFault] = {}
        self._decoded: dict[int, Image.Image] = {}
        self._pixels = 0

    def fetch(self, wanted: set[int]) -> None:
        """Read the crops of a batch, and forget those of the one before."""
        self._forget()
        numbers = sorted(wanted)
        read = read_entries(self._store, [self.requests[number] for number in numbers])
        self._contents = {numbers[position]: content for position, content in read}

    def decoded(self, number: int) -> Image.Image | None:
        """Return a crop of the batch; None if it cannot be decoded."""
        if number in self._decoded or number in self.faults:
            return self._decoded.get(number)
        try:
            image = _decode(self._contents[number])
        except ImageError as error:
            self.faults[number] = f"{where(self.requests[number])}: {error}"
            return None
        if self._pixels + image.width * image.height > DECODED_PIXELS:
            self._forget()
        self._pixels += image.width * image.height
        self._decoded[number] = image
        return image

    def _forget(self) -> None:
        self._decoded, self._pixels = {}, 0


def where(request: Request) -> str:
    """Return the place of a file in the source."""
    return f"{request.archive}:{request.name}" if isinstance(request, ZipRequest) else request.archive


def _batches(rows: list[dict[str, Any]], requests: Sequence[Request]) -> Iterator[list[dict[str, Any]]]:
    """Yield frames together until the crops that they need are many bytes."""
    batch: list[dict[str, Any]] = []
    needed: set[int] = set()
    size = 0
    for row in rows:
        new = set(row["crops"]) - needed
        more = sum(requests[crop].size for crop in new)
        if batch and size + more > CROPS_AT_ONCE:
            yield batch
            batch, needed, size = [], set(), 0
            more = sum(requests[crop].size for crop in set(row["crops"]))
        batch.append(row)
        needed |= set(row["crops"])
        size += more
    if batch:
        yield batch


def _read(store: ReadableStore, request: Request) -> bytes | EntryFault:
    ((_, content),) = read_entries(store, [request])
    return content


def _decode(content: bytes | EntryFault) -> Image.Image:
    """Return an image.

    Raises:
        ImageError: It cannot be read or decoded.
    """
    if isinstance(content, EntryFault):
        raise ImageError(content.detail)
    return decode_image(content)
