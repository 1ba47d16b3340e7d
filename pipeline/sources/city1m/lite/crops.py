"""The crops that a folder holds, in folders and in zips, as one table."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import (
    EntryKind,
    entries_sha256,
    join_paths,
    natural_key,
    read_folder,
    unsupported_entries,
)
from pipeline.samples import Notes
from pipeline.sources.city1m.lite.recognise import CROP_FOLDER, CROP_ZIP, NO_CROPS, find_crops
from pipeline.sources.city1m.zips import read_directories
from pipeline.sources.misplaced import point_to, refuse_special
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Note
from shards_spec.storage import Store
from shards_spec.variants.city1m_lite.paths import FRAME_CROP_PATTERN, GROUP_CROP_PATTERN, ROOT_PATTERN

_TEXT = pa.large_string()
_PLACES = {
    "offset": pa.int64(),
    "extent": pa.int64(),
    "compressed_size": pa.int64(),
    "size": pa.int64(),
    "crc32": pa.uint32(),
    "method": pa.uint16(),
}
"""The columns that say where an entry lies in a zip; in a folder, only the size is not 0."""


@dataclass(frozen=True, slots=True)
class Crops:
    """The crops, in the natural order of their archives, then by offset or path."""

    sources: list[SourceFile]
    """The folders and zips, sorted by path."""
    table: pa.Table
    """A row a crop: ``archive``, the name of the folder or zip; ``entry``, the name in there as spelled; ``image``, the
    path from the folder of crops on; and the columns of ``_PLACES``."""
    groups: pa.Array
    """The folder of the group as spelled (strings); null where the path names a frame, ``[crops]``."""
    frames: pa.Array
    """The frame's name without extension (strings); null where the path names none, ``[crops]``."""
    person_ids: npt.NDArray[np.int64]
    """The person id that is the file's name, ``[crops]``."""
    faults: dict[int, str]
    """Why a crop cannot be read, by row."""
    notes: Notes

    def where(self, row: int) -> str:
        """Return a crop's place in the form that rejects use."""
        return f"{self.table['archive'][row].as_py()}:{self.table['entry'][row].as_py()}"


def read_crops(store: Store, progress: Callable[[str], None]) -> Crops:
    """List the crops in all folders and zips of crops at the top of ``store``.

    Raises:
        UsageError: There are none, or a zip cannot be read.
    """
    found = sorted(find_crops(store), key=natural_key)
    if not found:
        raise UsageError(f"{store.url}: {NO_CROPS}" + point_to(store, re.compile(ROOT_PATTERN), "name it as SRC"))
    for file in store.list_top():
        if file.path in found:
            refuse_special(store, file)
    notes = Notes()
    zips = _read_zips(store, [name for name in found if not CROP_FOLDER.fullmatch(name)], progress, notes)
    folders = [name for name in found if CROP_FOLDER.fullmatch(name)]
    listed = [*zips, *(_read_folder(store, folder, progress) for folder in folders)]
    listed.sort(key=lambda one: natural_key(one.source.file))
    return _join(listed, notes)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a folder or zip holds."""

    source: SourceFile
    table: pa.Table
    """As in ``Crops``, with a row for each entry."""
    faults: dict[int, str]


def _read_zips(store: Store, paths: list[str], progress: Callable[[str], None], notes: Notes) -> list[_Listed]:
    if not paths:
        return []
    archives = read_directories(store, paths, progress)
    notes.add_all(Note.ARCHIVE_REPEATED, len(archives.repeated), archives.repeated)
    numbers = archives.entries["archive"].to_numpy()
    listed = []
    for number, source in enumerate(archives.sources):
        entries = archives.entries.filter(pa.array(numbers == number)).combine_chunks()
        entries = entries.take(pa.array(np.argsort(entries["offset"].to_numpy(), kind="stable")))
        match = CROP_ZIP.fullmatch(source.file)
        assert match is not None
        names = entries["name"].cast(_TEXT)
        columns = {name: entries[name] for name in _PLACES}
        table = _table(source.file, names, _from_root(pc.replace_substring(names, "\\", "/"), match[1]), columns)
        listed.append(_Listed(source, table, dict(unsupported_entries(entries))))
    return listed


def _from_root(names: Any, root: str) -> Any:
    """Return paths from their folder of crops on; those without one are taken to lie in the folder ``root``."""
    has_root = pc.match_substring_regex(names, f"^(?:.*/)?{ROOT_PATTERN}/")
    from_root = pc.replace_substring_regex(names, f"^(?:.*/)?({ROOT_PATTERN}/)", r"\1")
    below = pc.binary_join_element_wise(pa.scalar(f"{root}/", _TEXT), names, pa.scalar("", _TEXT))
    return pc.if_else(has_root, from_root, below)


def _read_folder(store: Store, folder: str, progress: Callable[[str], None]) -> _Listed:
    entries = read_folder(store, folder)
    progress(f"{folder}: {entries.num_rows:,} files")
    names = join_paths(entries)
    sizes = entries["size"].to_numpy()
    source = SourceFile(folder, int(sizes.sum()), entries_sha256([entries]))
    zeros = np.zeros(len(sizes), np.int64)
    columns = {name: pa.array(sizes if name == "size" else zeros).cast(type_) for name, type_ in _PLACES.items()}
    kinds = entries["kind"].to_numpy()
    faults = {
        row: "it is a link" if kinds[row] == EntryKind.LINK else "it is no plain file, or its name is not UTF-8"
        for row in np.flatnonzero(kinds != EntryKind.FILE).tolist()
    }
    return _Listed(source, _table(folder, names, _from_root(names, folder), columns), faults)


def _table(archive: str, names: Any, images: Any, columns: dict[str, Any]) -> pa.Table:
    archives = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(names), np.int32)), pa.array([archive], _TEXT))
    return pa.table({"archive": archives, "entry": names, "image": images, **columns})


def _join(listed: list[_Listed], notes: Notes) -> Crops:
    starts = np.cumsum([0, *(one.table.num_rows for one in listed)])
    table = pa.concat_tables([one.table for one in listed]).unify_dictionaries().combine_chunks()
    of_frame = pc.extract_regex(table["image"], f"^{FRAME_CROP_PATTERN}$").combine_chunks()
    of_group = pc.extract_regex(table["image"], f"^{GROUP_CROP_PATTERN}$").combine_chunks()
    names_frame = of_frame.is_valid()
    is_crop = pc.or_(names_frame, of_group.is_valid())
    rows = pc.indices_nonzero(is_crop)
    is_other = ~is_crop.to_numpy(zero_copy_only=False)
    notes.add_rows(Note.ENTRY_IGNORED, is_other, lambda row: f"{table['archive'][row]}:{table['entry'][row]}")
    frames = pc.if_else(names_frame, pc.struct_field(of_frame, "frame"), None)
    groups = pc.if_else(names_frame, None, pc.struct_field(of_group, "group"))
    persons = pc.if_else(names_frame, pc.struct_field(of_frame, "member"), pc.struct_field(of_group, "member"))
    new_rows = np.full(table.num_rows, -1, np.int64)
    new_rows[rows.to_numpy()] = np.arange(len(rows))
    faults = {
        int(new_rows[start + row]): fault
        for one, start in zip(listed, starts[:-1].tolist(), strict=True)
        for row, fault in one.faults.items()
        if new_rows[start + row] >= 0
    }
    return Crops(
        sources=sorted((one.source for one in listed), key=lambda source: source.file),
        table=table.take(rows).combine_chunks(),
        groups=groups.take(rows).cast(pa.string()),
        frames=frames.take(rows).cast(pa.string()),
        person_ids=persons.take(rows).cast(pa.int64()).to_numpy(),
        faults=faults,
        notes=notes,
    )
