"""Joining the paths that labels name with the files of a source."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives.table import split_paths
from pipeline.sources.matching import Paths, match_paths

MISSING, AMBIGUOUS = -1, -2

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Joined:
    """The file that each path of the labels names."""

    file: _Int64
    """The file of each path, or ``MISSING`` or ``AMBIGUOUS``, ``[paths]``."""
    root: str
    """The folders that were left out at the beginning of paths; empty if there are none."""
    exact: int
    """Number of paths that are those of a file; all others that name one are the end of its path."""


def plain_paths(paths: pa.Array) -> pa.Array:
    r"""Return paths as they are compared: with ``/`` for ``\``, and without ``./``, a drive or a slash before them."""
    plain = pc.replace_substring(paths, "\\", "/")
    return pc.replace_substring_regex(plain, r"^(?:[A-Za-z]:)?(?:/|\./)*", "")


def join_paths(paths: pa.Array, files: Paths, root: str | None) -> Joined:
    """Find the file that each path names: the file of exactly this path, else the only one whose path ends with it.

    A label file that was written elsewhere may begin each path with the place where the images were there.

    Args:
        paths: Different paths, as ``plain_paths`` returns them.
        files: The paths of the files.
        root: The folders to leave out where a path begins with them: empty, or with a slash at the end. If it is None
            and not a single file is found, as many of the folders that all paths have in common are left out as it
            takes to find one.
    """
    lines = _split(paths)
    joined = _join(lines, files, root or "")
    if root is None and len(lines) and (joined.file == MISSING).all():
        common = _common_folders(lines)
        for count in range(1, len(common) + 1):
            shorter = _join(lines, files, "".join(f"{part}/" for part in common[:count]))
            if (shorter.file != MISSING).any():
                return shorter
    return joined


def _join(lines: Paths, files: Paths, root: str) -> Joined:
    lines = _without(lines, root) if root else lines
    matches = match_paths(files, lines)
    found = matches.entry_of_line.astype(np.int64)
    exact = int(np.count_nonzero(found != MISSING))
    _match_ends(lines, files, matches.first_entry, found)
    return Joined(found, root, exact)


def _match_ends(lines: Paths, files: Paths, first_file: _Int64, found: _Int64) -> None:
    """Fill in, for each line that is not found, the only file whose path ends with it."""
    open_lines = np.flatnonzero(found == MISSING)
    if not len(open_lines) or not len(files):
        return
    depths = np.array([str(folder).count("/") for folder in lines.folders.dictionary.to_pylist()], np.int64)
    depth_of_line = depths[lines.folders.indices.to_numpy()[open_lines]]
    is_first = np.flatnonzero(first_file == np.arange(len(files)))  # second copies make no path ambiguous
    kept = Paths(files.folders.take(pa.array(is_first)), files.names.take(pa.array(is_first)))
    for depth in np.unique(depth_of_line).tolist():
        of_depth = open_lines[depth_of_line == depth]
        ends = _last_folders(kept, depth)
        some = Paths(lines.folders.take(pa.array(of_depth)), lines.names.take(pa.array(of_depth)))
        matches = match_paths(ends, some)
        counts = np.bincount(matches.first_entry, minlength=len(ends))
        entry = matches.entry_of_line
        is_there = entry >= 0
        several = is_there & (counts[entry] > 1)
        found[of_depth] = np.where(several, AMBIGUOUS, np.where(is_there, is_first[entry], MISSING))


def _last_folders(files: Paths, depth: int) -> Paths:
    """Return files with the last ``depth`` folders of their paths. What lies less deep gets a folder of no path."""
    names = []
    for folder in files.folders.dictionary.to_pylist():
        parts = str(folder).split("/")[:-1]
        names.append("".join(f"{part}/" for part in parts[len(parts) - depth :]) if len(parts) >= depth else "\0")
    return Paths(_recoded(files.folders, names), files.names)


def _common_folders(lines: Paths) -> list[str]:
    """Return the folders with which all paths begin."""
    folders = [str(folder).split("/")[:-1] for folder in lines.folders.dictionary.to_pylist()]
    if not folders:
        return []
    low, high = min(folders), max(folders)
    common = 0
    while common < min(len(low), len(high)) and low[common] == high[common]:
        common += 1
    return low[:common]


def _without(lines: Paths, prefix: str) -> Paths:
    names = [str(folder).removeprefix(prefix) for folder in lines.folders.dictionary.to_pylist()]
    return Paths(_recoded(lines.folders, names), lines.names)


def _recoded(coded: pa.DictionaryArray, names: list[str]) -> pa.DictionaryArray:
    """Return codes with other names, each of which may come several times."""
    distinct = pa.array(names, pa.large_string()).dictionary_encode()
    indices: Any = distinct.indices.to_numpy()[coded.indices.to_numpy()] if names else np.empty(0, np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), distinct.dictionary)


def _split(paths: pa.Array) -> Paths:
    if not len(paths):
        return Paths(pa.array([], pa.dictionary(pa.int32(), pa.large_string())), pa.array([], pa.large_string()))
    folders, names = split_paths(paths)
    coded = folders.dictionary_encode()
    distinct = coded.dictionary
    return Paths(pa.DictionaryArray.from_arrays(coded.indices.cast(pa.int32()), distinct), names)
