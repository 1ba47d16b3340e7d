"""Where sets and sources lie: one interface, ``Store``, and what implements it."""

from shards_spec.errors import UsageError
from shards_spec.storage.base import FileInfo, FileWriter, Store, StoreBusyError
from shards_spec.storage.local import LocalStore

__all__ = ["FileInfo", "FileWriter", "LocalStore", "Store", "StoreBusyError", "open_store"]


def open_store(location: str) -> Store:
    """The store at a folder's path or, once they are taken, at an object store's URL.

    Raises:
        UsageError: ``location`` is empty or has a scheme that is not taken.
    """
    scheme, separator, rest = location.partition("://")
    if not location:
        raise UsageError("an empty path: name a folder")
    if not separator:
        return LocalStore(location)
    if scheme == "file":
        return LocalStore(rest)
    raise UsageError(f"{location}: {scheme}:// is not taken by this version, only folders: mount or copy it")
