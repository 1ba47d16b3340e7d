"""Where sets and sources lie: one interface, ``Store``, and what implements it."""

from shards_spec.errors import UsageError
from shards_spec.storage.ahead import expect_ahead, read_ahead
from shards_spec.storage.base import PARTIAL_FOLDER, FileInfo, FileWriter, Kind, Store, StoreBusyError, StoreLostError
from shards_spec.storage.local import LocalStore
from shards_spec.storage.object import RETRY_SECONDS, ObjectStore
from shards_spec.storage.ranges import RangeFile, file_sha256

__all__ = [
    "PARTIAL_FOLDER",
    "FileInfo",
    "FileWriter",
    "Kind",
    "LocalStore",
    "ObjectStore",
    "RangeFile",
    "Store",
    "StoreBusyError",
    "StoreLostError",
    "expect_ahead",
    "file_sha256",
    "open_store",
    "read_ahead",
]


def open_store(location: str, *, retry_seconds: float = RETRY_SECONDS) -> Store:
    """The store at a folder's path or an object store's URL; nothing is read yet.

    A process that has used an object store must not fork children that use one: obstore would hang in them, so they
    get an error instead.

    Args:
        location: a path, or a URL such as ``s3://bucket/prefix``.
        retry_seconds: for which an object store's passing faults are retried.

    Raises:
        UsageError: ``location`` is empty, has a scheme that is not taken, or holds what may be a secret.
    """
    scheme, separator, rest = location.partition("://")
    if not location:
        raise UsageError("an empty path: name a folder or a URL")
    if not separator:
        return LocalStore(location)
    if scheme == "file":
        return LocalStore(rest)
    return ObjectStore(location, retry_seconds=retry_seconds)
