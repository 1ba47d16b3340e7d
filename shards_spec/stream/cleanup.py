"""Cleanup of the folder of indexes: what nobody has opened for a month is removed when something new is written.

Opening an index or a selection updates its file's time and takes a shared lock on the file for as long as it is used. A
run of many weeks thereby keeps what it began with. On file systems without locks, nothing is removed.
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
import weakref
from pathlib import Path

UNUSED_SECONDS = 30 * 24 * 3600.0
"""Time since it was last opened after which an index or a selection is removed."""
LEFTOVER_SECONDS = 24 * 3600.0
"""Time after which the files of a killed writer are removed. It is far longer than a writer takes."""
HELD_FILE = "manifest.json"
"""The file of an index's folder that is locked."""

SELECTION_SUFFIX, WHOLE_SUFFIX = ".rows", ".whole"
"""Suffixes of a selection's files, and of a note which files those of whole cells are."""
NOTED_SECONDS = 24 * 3600.0
"""Time in which use is noted at most once: a file's times also tell whether its content has changed."""

_KEPT = re.compile(rf"[0-9a-f]{{32}}({re.escape(SELECTION_SUFFIX)}|{re.escape(WHOLE_SUFFIX)})?")
_UNFINISHED = re.compile(r"[0-9a-f]{32}\..+")


def hold(path: Path, holder: object) -> None:
    """Note that a file is used, and keep it from being removed while ``holder`` exists.

    Raises:
        FileNotFoundError: There is no such file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # the path may have become a named pipe
    weakref.finalize(holder, os.close, descriptor)
    with contextlib.suppress(OSError):  # another user's file
        if os.fstat(descriptor).st_mtime < time.time() - NOTED_SECONDS:
            os.utime(descriptor)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def sweep(folder: Path) -> None:
    """Remove indexes and selections that have not been opened for long, and what killed writers left behind.

    Args:
        folder: Folder of all indexes, or of one index with its selections. Other files in it are left alone.
    """
    now = time.time()
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(OSError):  # removed already, in use, or another user's
            if _KEPT.fullmatch(path.name):
                if path.is_dir():
                    sweep(path)
                _remove_unused(path, now - UNUSED_SECONDS)
            elif _UNFINISHED.fullmatch(path.name) and path.stat().st_mtime < now - LEFTOVER_SECONDS:
                _remove(path)


def _remove_unused(path: Path, since: float) -> None:
    held = path / HELD_FILE if path.is_dir() else path
    if held.stat().st_mtime < since:
        with held.open("r+b") as file:  # opened for writing, because NFS grants an exclusive lock only then
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held.stat().st_mtime < since:  # nobody has opened it in the meantime
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        # It is renamed first, so that an index exists as a whole or not at all.
        shutil.rmtree(path.rename(path.with_name(f"{path.name}.gone")))
    else:
        path.unlink()
