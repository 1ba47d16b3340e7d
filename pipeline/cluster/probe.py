"""Whether a source can be read and OUT can be written to. Every place is checked in the same way, before any work."""

import os
import re
import secrets
from pathlib import Path

from pipeline.sources.base import Source
from pipeline.sources.misplaced import point_to
from pipeline.sources.registry import recognise_source, source_named
from shards_spec.errors import UsageError
from shards_spec.storage import (
    FIRST_LOOK_SECONDS,
    PARTIAL_FOLDER,
    Store,
    explain_error,
    folder_fault,
    is_remote,
    open_store,
)
from shards_spec.storage.location import parse_location

_SOURCE_FILE = re.compile(r"(?i).*\.(zip|txt)")


def probe_source(url: str) -> None:
    """Return if there are files at ``url`` that can be listed.

    Raises:
        UsageError: They cannot; the message says why, and what to do.
    """
    source = _open(url)
    try:
        fault = folder_fault(url)
        first = None if fault is not None else next(source.list_top(), None)
    except OSError as error:
        raise UsageError(f"{url} cannot be read: {explain_error(url, error)}") from error
    if fault is not None:
        raise UsageError(fault)
    if first is None:  # a folder of folders can be a source, unless it is the one above a source
        there = point_to(source, _SOURCE_FILE, "name that folder")
        if there or next(source.folders(), None) is None:
            raise UsageError(f"{url} holds no files itself{there or ': check the name'}")


def find_source(url: str, name: str | None = None) -> tuple[Source, str]:
    """Return the kind of the source at ``url``, and how it was recognised.

    Args:
        url: Folder or URL of the source.
        name: The name of the kind; None if the files at the top of the folder tell.

    Raises:
        UsageError: The folder cannot be read, there is no such kind, or it is not clear.
    """
    probe_source(url)
    if name is not None:
        return source_named(name), "--source"
    try:
        return recognise_source(_open(url))
    except OSError as error:
        raise UsageError(f"{url} cannot be read: {explain_error(url, error)}") from error


def probe_out(url: str) -> None:
    """Return if files can be created, read and deleted at ``url``.

    Raises:
        UsageError: They cannot; the message says why, and what to do.
    """
    out = _open(url)
    path, data = f"{PARTIAL_FOLDER}/probe-{secrets.token_hex(8)}", b"Can be written, read and deleted."
    try:
        out.create(path, data)
        out.read_whole(path)
        out.delete(path)
    except OSError as error:
        raise UsageError(f"{url} cannot be written to: {explain_error(url, error)}") from error


def refuse_nested(source_url: str, out_url: str) -> None:
    """Return if neither the source nor OUT lies inside the other, with links resolved.

    Raises:
        UsageError: One lies inside the other, or both are the same place.
    """
    source, out = _parts(open_store(source_url)), _parts(open_store(out_url))
    if source == out:
        raise UsageError(f"{out_url} is SRC and OUT at once: choose an OUT beside it")
    if out[: len(source)] == source:
        raise UsageError(f"OUT {out_url} lies inside SRC {source_url}: choose an OUT beside SRC")
    if source[: len(out)] == out:
        raise UsageError(f"SRC {source_url} lies inside OUT {out_url}: choose an OUT that holds nothing else")


def _parts(store: Store) -> tuple[str, ...]:
    """Return the folders that lead to a place. If a place lies inside another, its parts begin with the other's."""
    if not is_remote(store.url):
        return Path(os.path.realpath(store.url)).parts
    location = parse_location(store.url)
    return location.scheme, location.endpoint or "", location.bucket, *filter(None, location.prefix.split("/"))


def _open(url: str) -> Store:
    store = open_store(url, retry_seconds=FIRST_LOOK_SECONDS)
    try:
        store.url.encode()
    except UnicodeEncodeError as error:  # Ray does not accept such a name
        raise UsageError(f"{store.url!r} is not UTF-8: rename the folder, or go through a link to it") from error
    return store
