"""What the surveys of `plan` found, kept in the user's cache, so that planning again is quick."""

import contextlib
import os
import time
from pathlib import Path

from pipeline.archives import KeptResults, ProcessTasks
from shards_spec.cores import usable_cores
from shards_spec.storage import LocalStore, Store

UNUSED_SECONDS = 30 * 24 * 3600
"""Results that have not been used for so long are removed. Those of 30 million entries take hundreds of megabytes."""


def local_tasks(source: Store) -> ProcessTasks:
    """Return what does the parts of a survey in processes of this machine, one per core.

    Args:
        source: The store with the archives.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "reid-shards-surveys"
    _remove_old(folder)
    return ProcessTasks(source, KeptResults(LocalStore(folder), "parts"), usable_cores())


def _remove_old(folder: Path) -> None:
    before = time.time() - UNUSED_SECONDS
    for file in folder.glob("parts/*.arrow"):
        with contextlib.suppress(OSError):  # another process may have removed it
            if file.stat().st_atime < before:
                file.unlink()
