"""Whether a source can be read and an OUT be written to: asked before any work, and of each place the same way."""

import secrets

from shards_spec.errors import UsageError
from shards_spec.storage import FIRST_LOOK_SECONDS, PARTIAL_FOLDER, Store, explain_error, open_store


def probe_source(url: str) -> None:
    """Return if there are files at ``url``, and they can be listed.

    Raises:
        UsageError: they cannot; the message says why, and what to do.
    """
    source = _open(url)
    try:
        first = next(source.list_top(), None)
    except OSError as error:
        raise UsageError(f"{url} cannot be read: {explain_error(url, error)}") from error
    if first is None:
        raise UsageError(f"{url} does not exist, or holds no files itself: check the name")


def probe_out(url: str) -> None:
    """Return if files can be made, read and deleted at ``url``.

    Raises:
        UsageError: they cannot; the message says why, and what to do.
    """
    out = _open(url)
    path, data = f"{PARTIAL_FOLDER}/probe-{secrets.token_hex(8)}", b"Can be written, read and deleted."
    try:
        out.create(path, data)
        out.read_whole(path)
        out.delete(path)
    except OSError as error:
        raise UsageError(f"{url} cannot be written to: {explain_error(url, error)}") from error


def _open(url: str) -> Store:
    store = open_store(url, retry_seconds=FIRST_LOOK_SECONDS)
    try:
        store.url.encode()
    except UnicodeEncodeError as error:  # Ray does not take such a name
        raise UsageError(f"{store.url!r} is not UTF-8: rename the folder, or go through a link to it") from error
    return store
