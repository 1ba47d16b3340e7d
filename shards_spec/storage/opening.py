"""Make a store from a path or a URL."""

import contextlib
import errno
from pathlib import Path

from shards_spec.errors import UsageError
from shards_spec.storage.base import Store
from shards_spec.storage.local import LocalStore
from shards_spec.storage.object import RETRY_SECONDS, ObjectStore

FIRST_LOOK_SECONDS = 5.0
"""How long transient errors are retried while somebody waits for the answer."""


def is_remote(location: str) -> bool:
    """Return whether a location is the URL of an object store, not a folder."""
    return "://" in location and not location.startswith("file://")


def open_store(location: str, *, retry_seconds: float = RETRY_SECONDS) -> Store:
    """Return the store at a folder's path or an object store's URL. Nothing is read yet.

    A process that has used an object store must not fork children that use one. obstore would hang in such a child, so
    the child gets an error instead.

    Args:
        location: A path, or a URL such as ``s3://bucket/prefix``.
        retry_seconds: How long an object store's transient errors are retried.

    Raises:
        UsageError: ``location`` is empty, has an unknown scheme, or contains what may be a secret.
    """
    if not location:
        raise UsageError("an empty path: name a folder or a URL")
    if is_remote(location):
        return ObjectStore(location, retry_seconds=retry_seconds)
    return LocalStore(location.removeprefix("file://"))


def reach_store(location: str, file: str, *, retry_seconds: float = RETRY_SECONDS) -> Store:
    """Open a store, and make sure within seconds that it answers.

    Requests are normally retried for minutes after transient errors, so that these do not end hours of work. If the
    very first request gets no answer, however, the store's name is most likely misspelled.

    Args:
        location: A folder's path or an object store's URL.
        file: Path of a file to ask for. It need not exist: "not found" is an answer as well.
        retry_seconds: How long the store retries later requests after transient errors.

    Returns:
        The store. A folder is not asked.

    Raises:
        UsageError: The location is not valid, does not answer, or denies access. The message says what to do.
    """
    if is_remote(location):
        try:
            with contextlib.suppress(FileNotFoundError):
                open_store(location, retry_seconds=min(FIRST_LOOK_SECONDS, retry_seconds)).size(file)
        except OSError as error:
            raise UsageError(f"{location} cannot be read: {explain_error(location, error)}") from error
    return open_store(location, retry_seconds=retry_seconds)


def folder_fault(location: str) -> str | None:
    """Explain why a path is not a folder and what to do; return None if it is one, or an object store's URL."""
    if is_remote(location):
        return None
    path = Path(location.removeprefix("file://"))
    if path.is_dir():
        return None
    if path.exists():
        return f"{location} is a file: name the folder that it lies in, {path.absolute().parent}"
    return f"there is no folder {location}: check the name"


def explain_error(location: str, error: OSError) -> str:
    """Explain why a place cannot be read or written and what to do about it."""
    reason = error.strerror or str(error)
    if error.errno == errno.EROFS:
        return f"{reason}: choose a place that can be written to"
    if isinstance(error, PermissionError):
        what = "the credentials and what they permit" if is_remote(location) else "who may read and write there"
        return f"{reason}: check {what}"
    if isinstance(error, FileNotFoundError):
        return f"{reason}: check the name"
    return f"{reason}: check that this place is meant, or try again later"
