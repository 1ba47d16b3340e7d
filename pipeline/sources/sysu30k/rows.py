"""The rows of SYSU-30k's catalog: one for each image, as a column table and as objects."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import FileRange, FileRequest, TarRequest
from pipeline.sources.catalog import column_values, row_values
from pipeline.sources.matching import Paths
from pipeline.sources.sysu30k.archives import Entries
from pipeline.sources.sysu30k.bags import Bags
from pipeline.sources.sysu30k.layout import LISTS, Layout
from pipeline.sources.sysu30k.recognise import TRAIN_ROOT
from pipeline.sources.unique_keys import are_unique
from shards_spec.cells import cell_name
from shards_spec.errors import UsageError
from shards_spec.keys import keys_of_paths
from shards_spec.variants.sysu30k.bags import ids_of_folders

_TEXT = pa.large_string()
_CODED = pa.dictionary(pa.int32(), _TEXT)

ROW_SCHEMA = pa.schema(
    [
        pa.field("cell", _CODED, nullable=False),
        pa.field("group", _CODED),  # the folder from its root on; null for distractors
        pa.field("samples", pa.int8(), nullable=False),  # 1
        pa.field("archive", _CODED, nullable=False),  # tar in which the entry begins, or the folder of its root
        pa.field("offset", pa.int64(), nullable=False),  # where the entry begins in that tar
        pa.field("header_size", pa.int32(), nullable=False),  # 0 in an unpacked folder
        pa.field("size", pa.int64(), nullable=False),
        pa.field("header_crc32", pa.uint32(), nullable=False),
        pa.field("continued", _CODED),  # path of the tar in which an entry goes on that a cut goes through
        pa.field("continued_size", pa.int64(), nullable=False),  # bytes of it there
        pa.field("entry", _CODED, nullable=False),  # folder of the entry as spelled in its archive, with a slash
        pa.field("folder", _CODED, nullable=False),  # folder of the image below its root, with a slash
        pa.field("file", _TEXT, nullable=False),  # file name of the image
        pa.field("has_own_key", pa.uint8(), nullable=False),  # 1 or 0: whether no other image's path gives the same key
        pa.field("bags", _CODED, nullable=False),  # ids of the bags that name the folder, joined by line feeds
    ]
)


class Image(msgspec.Struct, frozen=True, gc=False):
    """A row of the catalog."""

    request: TarRequest | FileRequest
    """The request that reads the image."""
    entry: str
    """The folder of the entry as spelled in its archive, with a slash."""
    name: str
    """The path of the image below its root."""
    bags: list[str]
    """The sorted ids of the bags that name the folder."""
    key: str
    """The key of the sample."""

    @property
    def samples(self) -> int:
        """Return 1: an image is a sample."""
        return 1

    @property
    def where(self) -> str:
        """Return the place of the image in the form that rejects use."""
        if isinstance(self.request, FileRequest):
            return f"{self.request.archive.removesuffix(self.name)[:-1]}:{self.name}"
        return f"{self.request.archive}:{self.entry}{self.name.rpartition('/')[2]}"


def image_rows(table: pa.Table) -> list[Image]:
    """Return the rows of a table of ``ROW_SCHEMA``."""
    folders, files, has_own_key, entries, bags = column_values(
        table, ("folder", "file", "has_own_key", "entry", "bags")
    )
    names = [*map(operator.add, folders, files)]
    lists = {ids: ids.split("\n") if ids else [] for ids in set(bags)}
    keys = keys_of_paths(names, has_own_key)
    return list(map(Image, _requests(table), entries, names, [lists[ids] for ids in bags], keys))


def _requests(table: pa.Table) -> Iterable[TarRequest | FileRequest]:
    """Return the request of each image: all lie in tars, or all in unpacked folders."""
    archives, sizes = column_values(table, ("archive", "size"))
    if not pc.max(table["header_size"]).as_py():
        entries, files = column_values(table, ("entry", "file"))
        paths = (
            f"{root}/{entry}{file}".lstrip("/") for root, entry, file in zip(archives, entries, files, strict=True)
        )
        return map(FileRequest, paths, sizes)
    offsets, header_sizes, crcs = column_values(table, ("offset", "header_size", "header_crc32"))
    requests = map(TarRequest, archives, offsets, header_sizes, sizes, crcs)
    if table["continued"].null_count == table.num_rows:
        return requests
    return (
        request if path is None else msgspec.structs.replace(request, continued=(FileRange(path, 0, size),))
        for request, (path, size) in zip(requests, row_values(table, ("continued", "continued_size")), strict=True)
    )


def build_rows(
    entries: Entries, layout: Layout, paths: Paths, split: npt.NDArray[np.int8], bags: Bags | None
) -> pa.Table:
    """Return the rows of the catalog.

    Args:
        entries: The entries of the source.
        layout: Where they lie.
        paths: The entries' paths from their root on.
        split: The split of each entry as its position in ``LISTS``, or -1, ``[entries]``.
        bags: The bags, if there are any.
    """
    kept = np.flatnonzero(split >= 0)
    taken = entries.table if len(kept) == len(split) else entries.table.take(pa.array(kept))
    archives, offsets, continued, continued_sizes = _places(entries, layout, kept, taken)
    codes = paths.folders.indices.to_numpy()[kept]
    folders = [str(folder) for folder in paths.folders.dictionary.to_pylist()]
    ids = ids_of_folders(bags.bags) if bags is not None else {}
    is_nobody = np.array([folder.rstrip("/").lower().endswith("others") for folder in folders], bool)
    columns: dict[str, Any] = {
        "cell": _coded(split[kept], [cell_name({"p1": [name]}) for name in LISTS]),
        "group": _coded(codes, [folder.rstrip("/") for folder in folders], is_null=is_nobody[codes]),
        "samples": pa.array(np.ones(len(kept), np.int8)),
        "archive": archives,
        "offset": pa.array(offsets),
        "continued": continued,
        "continued_size": pa.array(continued_sizes),
        "entry": taken["folder"],
        "folder": _coded(codes, [folder.partition("/")[2] for folder in folders]),
        "file": taken["name"],
        "has_own_key": pa.array(are_unique(_below_root(folders, codes, taken)).view(np.uint8)),
        "bags": _coded(codes, ["\n".join(_ids_of(folder, ids)) for folder in folders]),
    }
    columns |= {name: taken[name] for name in ("header_size", "size", "header_crc32")}
    return pa.table([columns[field.name] for field in ROW_SCHEMA], schema=ROW_SCHEMA).combine_chunks()


def _below_root(folders: Sequence[str], codes: npt.NDArray[np.int32], taken: pa.Table) -> Paths:
    """Return the paths below their root of entries, given their folders from the root on."""
    names = pa.array([folder.partition("/")[2] for folder in folders], _TEXT)
    return Paths(pa.DictionaryArray.from_arrays(pa.array(codes), names), taken["name"].chunk(0))


def _ids_of(folder: str, ids: dict[str, list[str]]) -> Sequence[str]:
    root, _, name = folder.rstrip("/").partition("/")
    return ids.get(name, ()) if root == TRAIN_ROOT else ()


def _places(
    entries: Entries, layout: Layout, kept: npt.NDArray[np.int64], taken: pa.Table
) -> tuple[Any, npt.NDArray[np.int64], Any, npt.NDArray[np.int64]]:
    """Return the file in which each entry begins, where it begins there, and the file in which it goes on, if any."""
    archive = entries.archive[kept]
    offsets = taken["offset"].to_numpy()
    if not entries.streams:
        nothing = np.zeros(len(kept), np.int64)
        parents = [folder.rpartition("/")[0] for folder in layout.folders]
        return _coded(archive, parents), offsets, pa.nulls(len(kept), _CODED), nothing
    files = [path for stream in entries.streams for path in stream.paths]
    sizes = np.array([size for stream in entries.streams for size in stream.sizes], np.int64)
    first = np.cumsum([0, *(len(stream.paths) for stream in entries.streams)])  # each archive's first file
    starts = np.cumsum(sizes) - sizes  # of each file, in all files one behind the other
    within = starts[first[:-1]][archive]
    within += offsets
    file = (np.searchsorted(starts, within, side="right") - 1).astype(np.int32)
    within -= starts[file]
    beyond = within + taken["header_size"].to_numpy()
    beyond += taken["size"].to_numpy()
    beyond -= sizes[file]
    goes_on = beyond > 0
    following = np.minimum(file + 1, len(files) - 1)
    too_far = np.flatnonzero(goes_on & (beyond > sizes[following]))
    if len(too_far):
        name = files[int(following[too_far[0]])]
        raise UsageError(f"{name} is too small a piece: an image begins before it and ends behind it: join the pieces")
    return (
        _coded(file, files),
        within,
        _coded(following, files, is_null=~goes_on),
        np.maximum(beyond, 0, out=beyond),
    )


def _coded(codes: Any, names: Sequence[str], is_null: npt.NDArray[np.bool_] | None = None) -> Any:
    """Return a dictionary-encoded column of names."""
    distinct = pa.array(names, _TEXT).dictionary_encode()
    numbers = distinct.indices.to_numpy()[codes] if len(names) else np.empty(0, np.int32)
    indices = pa.array(numbers.astype(np.int32, copy=False), mask=is_null)
    return pa.DictionaryArray.from_arrays(indices, distinct.dictionary)
