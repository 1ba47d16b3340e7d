"""Places that hold sets and sources: the interface ``Store`` and its implementations."""

from shards_spec.storage.base import (
    PARTIAL_FOLDER,
    WHOLE_BYTES,
    FileInfo,
    FileTooLargeError,
    FileWriter,
    Kind,
    OwnableStore,
    ReadableStore,
    Store,
    StoreBusyError,
    StoreLostError,
    WritableStore,
)
from shards_spec.storage.local import LocalStore
from shards_spec.storage.object import RETRY_SECONDS, ObjectStore
from shards_spec.storage.opening import (
    FIRST_LOOK_SECONDS,
    explain_error,
    folder_fault,
    is_remote,
    open_store,
    reach_store,
)
from shards_spec.storage.prefetch import read_ahead
from shards_spec.storage.ranges import RangeFile, file_sha256, open_buffered

__all__ = [
    "FIRST_LOOK_SECONDS",
    "PARTIAL_FOLDER",
    "RETRY_SECONDS",
    "WHOLE_BYTES",
    "FileInfo",
    "FileTooLargeError",
    "FileWriter",
    "Kind",
    "LocalStore",
    "ObjectStore",
    "OwnableStore",
    "RangeFile",
    "ReadableStore",
    "Store",
    "StoreBusyError",
    "StoreLostError",
    "WritableStore",
    "explain_error",
    "file_sha256",
    "folder_fault",
    "is_remote",
    "open_buffered",
    "open_store",
    "reach_store",
    "read_ahead",
]
