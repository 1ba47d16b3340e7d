"""Hints for a source whose files are not where they should be: what lies there instead, and where the files may be."""

import contextlib
import itertools
import os
import re
from collections.abc import Container, Iterator

from shards_spec.errors import UsageError
from shards_spec.storage import FileInfo, Kind, Store, is_remote

_DEPTH = 2
"""Levels of folders below the top that are searched."""

_ENTRIES_A_FOLDER = 1000
_ENTRIES = 20_000
"""Most entries that are looked at; an unpacked dataset can have millions."""


def refuse_special(store: Store, file: FileInfo) -> None:
    """Return if a file of a source is a regular file, or a link to one.

    Raises:
        UsageError: The file is a pipe, a device, or a link that leads nowhere.
    """
    if file.kind not in {Kind.FILE, Kind.LINK}:
        raise UsageError(f"{store.url}/{file.path} is a {file.kind}, not a file: take it away, or put the file there")


def point_to(store: Store, pattern: re.Pattern[str], remedy: str, taken: Container[str] = ()) -> str:
    """Say, for the end of a message, where a missing file lies; return an empty string if there is no sign of it.

    Args:
        store: The store at whose top the file should lie. Only a local folder is searched below its top.
        pattern: A pattern that matches the file's whole name, or a name that somebody may have given it.
        remedy: What to do with the folder in which the file lies, such as "give that folder as SRC".
        taken: Names at the top that are known to be right.
    """
    for file in store.list_top():
        if file.path not in taken and pattern.fullmatch(file.path):
            return f"; {file.path} lies there, but is not taken under that name"
    if is_remote(store.url):
        return ""
    for folder, name, is_folder in itertools.islice(_walk(store.url, "", _DEPTH), _ENTRIES):
        if pattern.fullmatch(name):
            if is_folder:
                return f"; {folder}{name} is a folder, not a file: was it unpacked? Then pack it again (zip -0 -r)"
            if folder:
                return f"; {folder}{name} is there: {remedy}"
    return ""


def find_below(store: Store, pattern: re.Pattern[str]) -> str | None:
    """Return the path of a file at any depth whose whole name matches a pattern; None if a short look finds none."""
    if is_remote(store.url):
        paths = (file.path for file in itertools.islice(store.list(), _ENTRIES_A_FOLDER))
    else:
        walked = itertools.islice(_walk(store.url, "", _DEPTH), _ENTRIES)
        paths = (f"{folder}{name}" for folder, name, is_folder in walked if not is_folder)
    return next((path for path in paths if pattern.fullmatch(path.rpartition("/")[2])), None)


def _walk(root: str, folder: str, depth: int) -> Iterator[tuple[str, str, bool]]:
    """Yield each entry's folder (with a final slash), name, and whether it is a folder; the top level comes first."""
    with contextlib.suppress(OSError), os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118
        some = [(entry.name, entry.is_dir()) for entry in itertools.islice(entries, _ENTRIES_A_FOLDER)]
        some.sort(key=lambda entry: (entry[1], entry[0]))  # files before folders
        for name, is_folder in some:
            yield folder, name, is_folder
        if depth:
            for name, is_folder in some:
                if is_folder:
                    yield from _walk(root, f"{folder}{name}/", depth - 1)
