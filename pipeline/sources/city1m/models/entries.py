"""The files of a source, in folders and zips, as one tree of paths."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from pipeline.archives import (
    ArchiveError,
    EntryRequest,
    FileRequest,
    ZipRequest,
    entries_sha256,
    folder_table,
    natural_key,
    read_zip_directory,
    unsupported_entries,
)
from pipeline.sources.city1m.models.fbx import is_image
from pipeline.sources.misplaced import refuse_special
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.storage import FileInfo, Kind, Store
from shards_spec.tar import MAX_FILE_SIZE

AT_THE_TOP = "*"
"""Stands in the manifest for the files that lie at the top of a source itself."""

_LONGEST_PATH = 1000
"""Most characters of a path, and most bytes in UTF-8; an index has strings of up to 1,024 bytes."""


class _LargeFileRequest(FileRequest, frozen=True, gc=False):
    """A file, which may be as large as a shard's files may."""

    def limit(self) -> int:
        """Return the largest size in bytes that is read."""
        return MAX_FILE_SIZE


class _LargeZipRequest(ZipRequest):
    """An entry of a zip, which may be as large as a shard's files may."""

    def limit(self) -> int:
        """Return the largest size in bytes, packed or unpacked, that is read."""
        return MAX_FILE_SIZE


class Entry(NamedTuple):
    """A file of a source. The catalog keeps it as a JSON array of these values."""

    path: str
    """Its path below the source's folder. An archive counts as a folder of its name, without ``.zip``."""
    archive: str
    """Path of the zip that it lies in; empty for a file in a folder."""
    name: str
    """Its name in the zip; its path in a folder."""
    size: int
    offset: int = 0
    extent: int = 0
    compressed_size: int = 0
    crc32: int = 0
    """Of its content in a zip, and of a model. Otherwise, this and the numbers before are 0 in a folder."""
    method: int = 0
    fault: str = ""
    """Why it cannot be read; empty if nothing is known to be wrong with it."""

    @property
    def where(self) -> str:
        """Where it lies, in the form that rejects use."""
        folder, _, rest = (self.archive, "", self.name) if self.archive else self.name.partition("/")
        return f"{folder}:{rest}" if rest else f"{AT_THE_TOP}:{self.name}"

    @property
    def request(self) -> EntryRequest:
        """The request that reads it."""
        if not self.archive:
            return _LargeFileRequest(self.name, self.size)
        return _LargeZipRequest(
            self.archive,
            self.name,
            self.offset,
            self.extent,
            self.compressed_size,
            self.size,
            self.crc32,
            self.method,
        )

    def is_same_content(self, other: "Entry") -> bool:
        """Return whether both lie in zips and have the same content, as far as size and CRC-32 tell."""
        return bool(self.archive and other.archive) and (self.size, self.crc32) == (other.size, other.crc32)


@dataclass(slots=True)
class Files:
    """All files of a source."""

    entries: list[Entry] = field(default_factory=list)
    """In natural order of the archives and folders, then in the order in which an archive has them."""
    sources: list[SourceFile] = field(default_factory=list)
    """The archives and folders, for the manifest."""
    folders: list[str] = field(default_factory=list)
    """Places of the entries of archives that are folders."""
    inner_zips: list[str] = field(default_factory=list)
    """Paths of zips in zips, which are not read."""
    linked_folders: list[str] = field(default_factory=list)
    """Paths of symbolic links to folders, which are not followed."""


def list_files(store: Store, progress: Callable[[str], None]) -> Files:
    """List the files below a folder at any depth, and those of the zips among them.

    Raises:
        UsageError: A zip cannot be read, is a pipe or the like, or has a name that is not UTF-8.
        OSError: The store reports a fault.
    """
    files = Files()
    folders: dict[str, list[FileInfo]] = {}
    zips = []
    for info in store.list():
        if info.kind is Kind.FOLDER_LINK and not is_model(info.path):
            files.linked_folders.append(_as_text(info.path))
        elif info.path.lower().endswith(".zip"):
            refuse_special(store, info)
            zips.append(info.path)
        elif "/" in info.path:
            folders.setdefault(info.path.partition("/")[0], []).append(info)
        elif is_model(info.path) or is_image(info.path):  # other files at the top are notes of whoever keeps it
            folders.setdefault(AT_THE_TOP, []).append(info)
    for path in sorted([*zips, *folders], key=natural_key):
        if path in folders:
            _add_folder(files, path, folders[path])
        else:
            _add_zip(store, files, path)
        progress(f"{_as_text(path)}: {len(files.entries):,} files so far")
    files.sources.sort(key=lambda source: source.file)
    return files


def is_model(path: str) -> bool:
    """Return whether a path names a model."""
    return path.lower().endswith(".fbx")


def path_fault(path: str) -> str:
    """Return why a path cannot stand in a sidecar; an empty string if it can."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return "" if size <= _LONGEST_PATH else f"its path of {size} bytes is too long: at most {_LONGEST_PATH} are taken"


def _add_folder(files: Files, top: str, found: list[FileInfo]) -> None:
    root = "" if top == AT_THE_TOP else top
    size, digest = sum(info.size for info in found), entries_sha256([folder_table(found, root)])
    files.sources.append(SourceFile(_as_text(top), size, digest))
    for info in sorted(found, key=lambda info: natural_key(info.path)):
        fault = path_fault(info.path) if info.kind is Kind.FILE else f"it is a {info.kind}"
        path = _as_text(info.path)
        files.entries.append(Entry(path, "", path, info.size, fault=fault))


def _as_text(path: str) -> str:
    r"""Return a path with ``\xNN`` for its bytes that are not UTF-8, which neither manifest nor rejects can contain."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _add_zip(store: Store, files: Files, path: str) -> None:
    if fault := path_fault(path):
        raise UsageError(f"{store.url}: {_as_text(path)}: {fault}: rename it")
    try:
        directory = read_zip_directory(store, path)
    except ArchiveError as error:
        raise UsageError(f"{store.url}: {error}") from error
    files.sources.append(SourceFile(path, directory.size, directory.sha256))
    faults = dict(unsupported_entries(directory.entries))
    for row, entry in enumerate(_zip_entries(path, directory.entries)):
        if entry.name.endswith("/"):
            files.folders.append(entry.where)
        elif entry.name.lower().endswith(".zip"):
            files.inner_zips.append(entry.path)
        else:
            files.entries.append(entry._replace(fault=faults.get(row, "") or path_fault(entry.path)))


def _zip_entries(path: str, table: pa.Table) -> Iterator[Entry]:
    folder = path[: -len(".zip")]
    names = ("name", "size", "offset", "extent", "compressed_size", "crc32", "method")
    for name, *numbers in zip(*(table[column].to_pylist() for column in names), strict=True):
        yield Entry(f"{folder}/{name}", path, name, *numbers)
