"""Upkeep of the folder of indexes: what nobody has opened for a month goes when something new is written.

Whoever opens an index or a selection notes that in its file's time and holds a shared lock on it while it is used, so
that a run of many weeks finds again what it began with. Where a file system has no locks, nothing is removed.
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
"""Since it was last opened."""
LEFTOVER_SECONDS = 24 * 3600.0
"""Since a writer began that was killed: far longer than one takes."""
HELD_FILE = "manifest.json"
"""What is held of an index, which is a folder."""

SELECTION_SUFFIX = ".rows"
NOTED_SECONDS = 24 * 3600.0
"""Use is noted once in that time: a file's times tell whether it has changed, too."""

_KEPT = re.compile(rf"[0-9a-f]{{32}}({re.escape(SELECTION_SUFFIX)})?")
_UNFINISHED = re.compile(r"[0-9a-f]{32}\..+")


def hold(path: Path, holder: object) -> None:
    """Note that a file is used, and keep it from being swept while ``holder`` lives.

    Raises:
        FileNotFoundError: There is no such file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # whatever has taken its place
    weakref.finalize(holder, os.close, descriptor)
    with contextlib.suppress(OSError):  # somebody else's file
        if os.fstat(descriptor).st_mtime < time.time() - NOTED_SECONDS:
            os.utime(descriptor)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def sweep(folder: Path) -> None:
    """Remove indexes and selections that have long not been opened, and what killed writers left behind.

    Args:
        folder: Of indexes, or an index, which holds selections. Whatever else lies there stays.
    """
    now = time.time()
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(OSError):  # gone already, in use, or not ours to remove
            if _KEPT.fullmatch(path.name):
                if path.is_dir():
                    sweep(path)
                _remove_unused(path, now - UNUSED_SECONDS)
            elif _UNFINISHED.fullmatch(path.name) and path.stat().st_mtime < now - LEFTOVER_SECONDS:
                _remove(path)


def _remove_unused(path: Path, since: float) -> None:
    held = path / HELD_FILE if path.is_dir() else path
    if held.stat().st_mtime < since:
        with held.open("r+b") as file:  # for writing: over NFS, whoever only reads gets no lock for itself
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held.stat().st_mtime < since:  # nobody has opened it meanwhile
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        # Renamed first: an index is there whole or not at all.
        shutil.rmtree(path.rename(path.with_name(f"{path.name}.gone")))
    else:
        path.unlink()
