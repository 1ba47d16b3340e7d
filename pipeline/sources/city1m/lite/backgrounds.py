"""The empty streets of City1M-Lite: which image shows which camera by day and by night.

City1M's README says that there are 16 images, of 8 cameras by day and by night, and not how they are named. So the
names are read for a camera and a time, and what they leave open can be said by an option.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.archives import EntryFault, FileRequest, ZipRequest, read_entries, read_zip_directory
from pipeline.sources.city1m.full.recognise import FULL_ARCHIVE_PATTERN
from pipeline.sources.city1m.lite.draw import where
from pipeline.sources.city1m.lite.recognise import CROP_FOLDER, CROP_ZIP
from pipeline.sources.misplaced import refuse_special
from shards_spec.errors import UsageError
from shards_spec.images import ImageError, decode_image
from shards_spec.storage import Store

Place = tuple[int, str]
"""A camera's number and "day" or "night"."""

_IMAGE = re.compile(r"(?i)(?:.*/)?[^/.][^/]*\.(?:jpe?g|png|bmp|webp)")
_CAMERA = re.compile(r"(?i)(?<![a-z])cam(?:era)?[ _-]*([0-9]{1,9})(?![0-9])")
_NUMBER = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(r"(?i)day|night")
_PLACE = re.compile(r"([0-9]{1,9})-(day|night)")
_OTHER_ZIP = re.compile(f"{CROP_ZIP.pattern}|{FULL_ARCHIVE_PATTERN}")
_FILES_A_FOLDER = 1000
"""Most files of a folder, and entries of a zip, that are looked at."""


@dataclass(frozen=True, slots=True)
class Background:
    """An empty street."""

    where: str
    """Where the image lies in the source."""
    request: FileRequest | ZipRequest
    data: bytes
    size: tuple[int, int]
    """Width and height in pixels."""


def find_backgrounds(
    store: Store, needed: Sequence[Place], given: Sequence[tuple[str, str]]
) -> dict[Place, Background]:
    """Find the background of each place.

    Args:
        store: The store with the source.
        needed: The places that frames show.
        given: Places and the paths of their images, as the option says.

    Raises:
        UsageError: A place has none, or it is not clear which; an image cannot be read, or its name is not UTF-8; an
            image or a zip is a pipe or the like.
    """
    candidates = list(_candidates(store))
    chosen = {_place_of(place): _named(candidates, file) for place, file in given}
    found: dict[Place, list[FileRequest | ZipRequest]] = {}
    for request in candidates:
        place = parse_place(where(request))
        if place is not None:
            found.setdefault(place, []).append(request)
    for place in needed:
        if place in chosen:
            continue
        if len(found.get(place, [])) != 1:
            raise UsageError(_unclear(store, place, [where(request) for request in found.get(place, candidates)]))
        (chosen[place],) = found[place]
    return {place: _read(store, chosen[place]) for place in needed}


def parse_place(path: str) -> Place | None:
    """Return the place that a path names; None if it names no camera, or not one time.

    The file's name is asked first, and the folder that it lies in for what the name does not say.
    """
    folder, _, name = path.replace(":", "/").rpartition("/")
    parts = [name.rpartition(".")[0], folder.rpartition("/")[2]]
    times = next((found for part in parts if (found := {one.lower() for one in _TIME.findall(part)})), set())
    cameras = next(
        (found for pattern in (_CAMERA, _NUMBER) for part in parts if (found := set(map(int, pattern.findall(part))))),
        set(),
    )
    if len(times) != 1 or len(cameras) != 1:
        return None
    return cameras.pop(), times.pop()


def _candidates(store: Store) -> Iterator[FileRequest | ZipRequest]:
    """Yield the images at the top, in folders there, and in zips there, other than those of crops and of frames."""
    folders = ["", *(folder for folder in store.folders() if not CROP_FOLDER.fullmatch(folder))]
    for folder in folders:
        for file in islice(store.list_top(folder), _FILES_A_FOLDER):
            if _IMAGE.fullmatch(file.path):
                refuse_special(store, file)
                yield FileRequest(file.path, file.size)
            elif not folder and file.path.lower().endswith(".zip") and not _OTHER_ZIP.fullmatch(file.path):
                refuse_special(store, file)
                yield from _in_zip(store, file.path)


def _in_zip(store: Store, path: str) -> Iterator[ZipRequest]:
    columns = [name for name in ZipRequest._fields if name != "archive"]
    for entry in read_zip_directory(store, path).entries.select(columns).slice(0, _FILES_A_FOLDER).to_pylist():
        if _IMAGE.fullmatch(entry["name"]):
            yield ZipRequest(archive=path, **entry)


def _named(candidates: Sequence[FileRequest | ZipRequest], file: str) -> FileRequest | ZipRequest:
    for request in candidates:
        if where(request) == file:
            return request
    names = ", ".join(map(where, candidates[:20])) or "none"
    raise UsageError(f"--backgrounds: there is no image {file} in SRC; the images that are no crops are: {names}")


def _place_of(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise UsageError(f"--backgrounds {text}: a place is a camera and a time, such as 1-day or 8-night")
    return int(match[1]), match[2]


def _unclear(store: Store, place: Place, there: Sequence[str]) -> str:
    camera, time = place
    names = ", ".join(there[:20]) or "no image but crops"
    return (
        f"{store.url}: it is not clear which image is the background of camera {camera} by {time}; there is {names}. "
        f"Name it like cam{camera}_{time}.jpg, or say --backgrounds {camera}-{time}=FILE"
    )


def _read(store: Store, request: FileRequest | ZipRequest) -> Background:
    place = where(request)
    try:
        place.encode()
    except UnicodeEncodeError as error:  # what the frames are made from is kept as JSON
        raise UsageError(f"{store.url}: the name of the background {place!r} is not UTF-8: rename it") from error
    ((_, data),) = read_entries(store, [request])
    if isinstance(data, EntryFault):
        raise UsageError(f"{store.url}: the background {place} cannot be read: {data.detail}")
    try:
        return Background(place, request, data, decode_image(data).size)
    except ImageError as error:
        raise UsageError(f"{store.url}: the background {place} cannot be decoded: {error}") from error
