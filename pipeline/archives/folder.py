"""The files of an unpacked archive: a folder tree in a store."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.archives.request import MAX_ENTRY_SIZE, DamagedEntryError, EntryFault, FileRange
from pipeline.archives.table import ENTRY_SCHEMA, EntryKind, decode_paths, split_paths
from shards_spec.rejects import RejectReason
from shards_spec.storage import FileInfo, Kind, ReadableStore

_FILES_AT_ONCE = 1 << 16
_KINDS = {
    Kind.LINK: EntryKind.LINK,
    Kind.FOLDER_LINK: EntryKind.LINK,
    Kind.BROKEN_LINK: EntryKind.LINK,
}


class FileRequest(msgspec.Struct, frozen=True, gc=False):
    """A file of a folder to read, as it was listed. See ``EntryRequest`` for the methods."""

    archive: str
    """Path of the file in its store."""
    size: int

    def limit(self) -> int:
        """Return the largest size in bytes, packed or unpacked, that is read."""
        return MAX_ENTRY_SIZE

    @property
    def offset(self) -> int:
        """Return 0: the entry is the whole file."""
        return 0

    @property
    def continued(self) -> tuple[FileRange, ...]:
        """Return nothing."""
        return ()

    def range_size(self) -> int:
        """Return the file's size."""
        return 0 if self.size > self.limit() else self.size

    def refuse(self) -> EntryFault | None:
        """Return a fault if the file is too large."""
        if self.size <= self.limit():
            return None
        detail = f"the file takes {self.size} bytes: at most {self.limit()} are taken"
        return EntryFault(RejectReason.IMAGE_TOO_LARGE, detail)

    def used_bytes(self) -> int:
        """Return the file's size."""
        return self.size

    def unpack(self, data: memoryview) -> bytes:
        """Return the file's content. Nothing but its length is known of it."""
        if len(data) < self.size:
            raise DamagedEntryError(f"the file holds {len(data)} bytes, but was listed with {self.size}")
        return bytes(data[: self.size])


def read_folder(store: ReadableStore, root: str = "") -> pa.Table:
    """List the files below a folder, at any depth, as a table of ``ENTRY_SCHEMA``, sorted by path.

    Paths are those below ``root``. Links are listed as such and not followed, so nothing outside the folder is read. A
    file whose name is not UTF-8 is listed as ``EntryKind.OTHER``.

    Raises:
        OSError: The store reports a fault.
    """
    return folder_table(store.list(root), root)


def folder_table(files: Iterable[FileInfo], root: str = "") -> pa.Table:
    """Return files that were listed below a folder as ``read_folder`` does."""
    skipped = len(root) + 1 if root else 0
    return pa.Table.from_batches(_batches(iter(files), skipped), ENTRY_SCHEMA).unify_dictionaries()


def _batches(files: Iterator[FileInfo], skipped: int) -> Iterator[pa.RecordBatch]:
    while some := list(islice(files, _FILES_AT_ONCE)):
        spelled = [info.path[skipped:] for info in some]
        kinds = np.full(len(some), EntryKind.FILE, np.uint8)
        for number, info in enumerate(some):
            if info.kind is not Kind.FILE:  # to look up the kind of each would take ten times as long
                kinds[number] = _KINDS.get(info.kind, EntryKind.OTHER)
        try:
            paths = pa.array(spelled, pa.large_string())
        except UnicodeEncodeError:
            # A local file's name may hold bytes that are not UTF-8, which Python writes as surrogates.
            kinds[[not _is_text(name) for name in spelled]] = EntryKind.OTHER
            paths = decode_paths(pa.array([name.encode("utf-8", "surrogateescape") for name in spelled], pa.binary()))
        folders, names = split_paths(paths)
        zeros = np.zeros(len(some))
        columns = (zeros, zeros, [info.size for info in some], zeros, kinds)
        arrays = [
            pa.array(np.asarray(column).astype(field.type.to_pandas_dtype()))
            for column, field in zip(columns, list(ENTRY_SCHEMA)[2:], strict=True)
        ]
        yield pa.RecordBatch.from_arrays([folders.dictionary_encode(), names, *arrays], schema=ENTRY_SCHEMA)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
