"""The files below a source: plain files, and the entries of zips and tars, as one table of paths."""

import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import (
    MAX_ENTRY_SIZE,
    ArchiveError,
    EntryKind,
    Tasks,
    entries_sha256,
    find_tars,
    natural_key,
    read_folder,
    read_zip_directory,
    survey_tar,
    unsupported_entries,
)
from pipeline.archives.table import split_paths
from pipeline.samples import Notes
from pipeline.sources.matching import Paths
from pipeline.sources.tables.files.files import Container, Fault, Files
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import Store

TOP = "*"
"""What stands for the plain files at the top of the source where an archive is named."""

_ZIP_NAME = re.compile(r"(?i).*\.zip")
_TAR_NAME = re.compile(r"(?i).*\.(?:tar|tgz|tar\.[a-z0-9]+)")
_IMAGE = r"(?i)^[^.].*\.(?:jpe?g|jpe|jfif|png|bmp|webp|tiff?|gif)$"
_HIDDEN = re.compile(r"(?:.*/)?(?:\.[^/]+|__MACOSX|@eaDir)(?:/.*)?")
"""What systems leave in folders and archives."""

_NUMBERS = ("offset", "extent", "compressed_size", "size", "header_size", "crc32", "method")
_TYPES = {"crc32": np.uint32, "method": np.uint16, "header_size": np.int32}
_KINDS = {
    EntryKind.LINK: "it is a link, which may lead out of the source",
    EntryKind.SPARSE: "it is a sparse file",
    EntryKind.OTHER: "it is no plain file, or its name is not UTF-8",
}


def list_files(
    store: Store, label_files: Collection[str], progress: Callable[[str], None], tasks: Tasks | None
) -> Files:
    """List the files below a source, and the entries of its archives.

    Args:
        store: The store with the source.
        label_files: Paths of the label files, which are left out.
        progress: A function that is called with a sentence about the progress now and then.
        tasks: What scans tars; None to scan them here.

    Raises:
        UsageError: An archive is compressed, damaged or cut off.
        OSError: The store reports a fault.
    """
    plain = read_folder(store)
    progress(f"{plain.num_rows:,} files")
    listing = _Listing()
    try:
        archives = listing.add_plain(plain, label_files)
        del plain
        for path in sorted(archives, key=natural_key):
            added = listing.add_zip(store, path) if _ZIP_NAME.fullmatch(path) else listing.add_tar(store, path, tasks)
            progress(f"{path}: {added:,} entries")
    except ArchiveError as error:
        raise UsageError(f"{store.url}: {error}") from error
    return listing.finish()


class _Listing:
    """Collects the files of one archive after the other."""

    def __init__(self) -> None:
        self._folders: list[pa.Array] = []
        self._names: list[pa.Array] = []
        self._numbers: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _NUMBERS}
        self._archives: list[npt.NDArray[np.int32]] = []
        self._containers: list[npt.NDArray[np.uint8]] = []
        self._sources: list[SourceFile] = []
        self._prefixes: list[str] = []
        self._faults: dict[int, Fault] = {}
        self._gaps: list[str] = []
        self._notes = Notes()
        self._count = 0

    def add_plain(self, table: pa.Table, label_files: Collection[str]) -> list[str]:
        """Add the plain files of a listing; return the paths of archives among them."""
        if not table.num_rows:
            return []
        table = table.unify_dictionaries().combine_chunks()
        folders = table["folder"].chunk(0)
        codes = folders.indices.to_numpy()
        distinct = [str(folder) for folder in folders.dictionary.to_pylist()]
        is_hidden = np.array([_HIDDEN.fullmatch(folder) is not None for folder in distinct], bool)
        names = table["name"].combine_chunks()
        special = pc.match_substring_regex(names, r"(?i)^\.|\.(?:zip|tar|tgz|tar\.[a-z0-9]+)$").to_numpy(
            zero_copy_only=False
        )
        is_taken = ~is_hidden[codes]
        archives = []
        for row in np.flatnonzero(special & is_taken).tolist():
            name = names[row].as_py()
            is_taken[row] = False
            if not name.startswith("."):
                archives.append(f"{distinct[codes[row]]}{name}")
        if label_files:
            of_labels = pa.array([path.rpartition("/")[2] for path in label_files], pa.large_string())
            for row in np.flatnonzero(pc.is_in(names, of_labels).to_numpy(zero_copy_only=False)).tolist():
                is_taken[row] &= f"{distinct[codes[row]]}{names[row].as_py()}" not in label_files
        is_image = _are_images(names)
        tops = [folder.partition("/")[0] or TOP for folder in distinct]

        def where(row: int) -> str:
            return f"{tops[codes[row]]}:{distinct[codes[row]]}{names[row].as_py()}"

        self._notes.add_rows(Note.ENTRY_IGNORED, is_taken & ~is_image, where)
        is_taken &= is_image
        for top in sorted(set(tops)):
            rows = np.flatnonzero(is_taken & np.array([name == top for name in tops], bool)[codes])
            if len(rows):
                part = table.take(pa.array(rows))
                size = int(part["size"].to_numpy().sum())
                source = SourceFile(top, size, entries_sha256([part]))
                kinds = part["kind"].to_numpy()
                self._add(
                    source, Container.FOLDER, "", part["folder"].combine_chunks(), part["name"], {"size": part["size"]}
                )
                self._add_kind_faults(kinds)
        return archives

    def add_zip(self, store: Store, path: str) -> int:
        """Add the entries of a zip; return their number."""
        directory = read_zip_directory(store, path)
        entries = directory.entries
        is_file = ~pc.ends_with(entries["name"], "/").to_numpy(zero_copy_only=False)
        faults = {row: (RejectReason.IMAGE_UNSUPPORTED, why) for row, why in unsupported_entries(entries)}
        is_image = is_file & _are_images(pc.replace_substring_regex(entries["name"], r"^.*/", ""))
        self._notes.add_rows(Note.ENTRY_IGNORED, is_file & ~is_image, lambda row: f"{path}:{entries['name'][row]}")
        rows = np.flatnonzero(is_image)
        kept = entries.take(pa.array(rows))
        folders, names = _split(kept["name"])
        prefix = f"{_stem(path)}/"
        source = SourceFile(path, directory.size, directory.sha256)
        numbers = {name: kept[name] for name in _NUMBERS if name in kept.column_names}
        first = self._add(source, Container.ZIP, prefix, _prefixed(prefix, folders), names, numbers)
        places = {int(row): number for number, row in enumerate(rows) if int(row) in faults} if faults else {}
        self._faults |= {first + places[row]: fault for row, fault in faults.items() if row in places}
        self._add_size_faults(first, np.maximum(kept["size"].to_numpy(), kept["compressed_size"].to_numpy()))
        return len(rows)

    def add_tar(self, store: Store, path: str, tasks: Tasks | None) -> int:
        """Add the entries of a tar; return their number."""
        (stream,) = find_tars(store, [path])
        survey = survey_tar(store, stream, tasks=tasks)
        if survey.joined.end is None:
            self._gaps.append(f"{path} does not end as a tar does: it seems to be cut off; get the file again")
        table = survey.entries.unify_dictionaries().combine_chunks()
        is_file = table["kind"].to_numpy() != EntryKind.FOLDER
        is_image = is_file & _are_images(table["name"])
        self._notes.add_rows(
            Note.ENTRY_IGNORED, is_file & ~is_image, lambda row: f"{path}:{table['folder'][row]}{table['name'][row]}"
        )
        rows = np.flatnonzero(is_image)
        kept = table.take(pa.array(rows))
        prefix = f"{_stem(path)}/"
        source = SourceFile(path, stream.size, survey.sha256)
        numbers = {name: kept[name] for name in ("offset", "header_size", "size")} | {"crc32": kept["header_crc32"]}
        folders = kept["folder"].combine_chunks() if len(rows) else pa.array([], _CODED)
        first = self._add(source, Container.TAR, prefix, _prefixed(prefix, folders), kept["name"], numbers)
        self._add_kind_faults(kept["kind"].to_numpy())
        self._add_size_faults(first, kept["size"].to_numpy())
        return len(rows)

    def finish(self) -> Files:
        """Return the files."""
        folders = pa.chunked_array(self._folders, _CODED).unify_dictionaries().combine_chunks()
        names = pa.chunked_array(self._names, pa.large_string()).combine_chunks()
        return Files(
            Paths(_plain(folders), _plain(names)),
            np.concatenate([np.empty(0, np.int32), *self._archives]),
            np.concatenate([np.empty(0, np.uint8), *self._containers]),
            {
                name: np.concatenate([np.empty(0, _TYPES.get(name, np.int64)), *parts])
                for name, parts in self._numbers.items()
            },
            self._sources,
            self._prefixes,
            self._faults,
            self._gaps,
            self._notes,
        )

    def _add(
        self, source: SourceFile, container: int, prefix: str, folders: pa.Array, names: Any, numbers: dict[str, Any]
    ) -> int:
        """Add the files of a source; return the number of the first one."""
        first, count = self._count, len(folders)
        self._folders.append(_plain(folders).cast(_CODED))
        self._names.append(_plain(names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names))
        for name in _NUMBERS:
            type_ = _TYPES.get(name, np.int64)
            given = numbers[name].to_numpy().astype(type_, copy=False) if name in numbers else np.zeros(count, type_)
            self._numbers[name].append(given)
        self._archives.append(np.full(count, len(self._sources), np.int32))
        self._containers.append(np.full(count, container, np.uint8))
        self._sources.append(source)
        self._prefixes.append(prefix)
        self._count += count
        return first

    def _add_kind_faults(self, kinds: npt.NDArray[np.uint8]) -> None:
        first = self._count - len(kinds)
        for row in np.flatnonzero(kinds != EntryKind.FILE).tolist():
            self._faults[first + row] = (RejectReason.IMAGE_UNSUPPORTED, _KINDS[EntryKind(int(kinds[row]))])

    def _add_size_faults(self, first: int, sizes: npt.NDArray[np.int64]) -> None:
        for row in np.flatnonzero(sizes > MAX_ENTRY_SIZE).tolist():
            detail = f"the entry takes {sizes[row]} bytes: at most {MAX_ENTRY_SIZE} are taken"
            self._faults.setdefault(first + row, (RejectReason.IMAGE_TOO_LARGE, detail))


_CODED = pa.dictionary(pa.int32(), pa.large_string())


def _split(names: Any) -> tuple[pa.Array, pa.Array]:
    """Split entries' names behind their last slash: the folders as codes, and the rest."""
    if not len(names):
        return pa.array([], _CODED), pa.array([], pa.large_string())
    folders, rest = split_paths(names.combine_chunks().cast(pa.large_string()))
    return folders.dictionary_encode(), rest


def _prefixed(prefix: str, folders: pa.Array) -> pa.Array:
    """Return coded folders with a prefix before each."""
    longer = [prefix + str(folder) for folder in folders.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(folders.indices, pa.array(longer, pa.large_string()))


def _are_images(names: Any) -> npt.NDArray[np.bool_]:
    """Return which names are those of images."""
    named: npt.NDArray[np.bool_] = pc.match_substring_regex(names, _IMAGE).to_numpy(zero_copy_only=False)
    return named


def _stem(path: str) -> str:
    """Return the path of an archive without its extension."""
    return re.sub(r"(?i)\.(?:zip|tgz|tar|tar\.[a-z0-9]+)$", "", path)


def _plain(array: Any) -> Any:
    """Return an array that is no longer chunked."""
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks else pa.array([], array.type)
