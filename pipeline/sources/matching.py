"""Matching listed paths with the entries of archives, tens of millions of each, with bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PATHS_AT_ONCE = 1 << 21
"""About how many paths are compared at once: some 300 MB of strings and their hash table."""

_Rows = npt.NDArray[np.signedinteger[Any]]
"""Row numbers, of 32 bits where these suffice: tens of millions of rows have several such columns."""
_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths as columns, each path a folder and a name."""

    folders: pa.DictionaryArray
    """The folders, ``[paths]``: dictionary of large strings, each of which ends with a slash or is empty."""
    names: pa.Array
    """The names, ``[paths]``: large strings."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Matches:
    """Which entries and lines have the same path."""

    first_entry: _Rows
    """For each entry the first entry with its path, which is itself unless the path is repeated, ``[entries]``."""
    first_line: _Rows
    """For each line the first line with its path, ``[lines]``."""
    entry_of_line: _Rows
    """For each line the first entry with its path; -1 if there is none, ``[lines]``."""


def match_paths(entries: Paths, lines: Paths, at_once: int = PATHS_AT_ONCE) -> Matches:
    """Find out which paths occur several times, and which entry each line names.

    Only paths of the same folder can be equal, so the folders are taken a few at a time. The order of entries and of
    lines does not matter.

    Args:
        entries: The paths of the entries, in the order in which the first of several equal ones counts.
        lines: The paths of the lines, likewise.
        at_once: About how many paths to compare at once.
    """
    matches = Matches(*(np.full(count, -1, _row_type(count)) for count in (len(entries), len(lines), len(lines))))
    for of_entries, of_lines, codes in batches_by_folder(entries, lines, at_once):
        entry_codes, line_codes = codes[: len(of_entries)], codes[len(of_entries) :]
        count = int(codes.max(initial=-1)) + 1
        firsts = _first_positions(entry_codes, of_entries, count)
        matches.first_entry[of_entries] = firsts[entry_codes]
        matches.entry_of_line[of_lines] = firsts[line_codes]
        matches.first_line[of_lines] = _first_positions(line_codes, of_lines, count)[line_codes]
    return matches


def batches_by_folder(
    entries: Paths,
    lines: Paths,
    at_once: int = PATHS_AT_ONCE,
    change: Callable[[pa.Array], pa.Array] = lambda names: names,
) -> Iterator[tuple[_Int64, _Int64, npt.NDArray[np.int32]]]:
    """Yield the paths of a few folders at a time.

    Args:
        entries: Paths.
        lines: Further paths.
        at_once: About how many paths to yield at once.
        change: Returns what to compare of some names.

    Yields:
        The positions of paths in ``entries`` and in ``lines``, each in rising order, and a number for each of these
        paths, first those of the entries, which is the same where the folder and what is compared of the name are.
    """
    folders, of_entry, of_line = _shared_folders(entries.folders, lines.folders)
    codes = entries.folders.indices.to_numpy(), lines.folders.indices.to_numpy()
    sizes = np.bincount(of_entry[codes[0]], minlength=folders) + np.bincount(of_line[codes[1]], minlength=folders)
    batch_of_folder = np.cumsum(sizes) // at_once
    batches = int(batch_of_folder[-1]) + 1 if folders else 0
    batch_of_folder = batch_of_folder.astype(np.min_scalar_type(batches))  # one for each path: small numbers
    batch_of_entry, batch_of_line = batch_of_folder[of_entry][codes[0]], batch_of_folder[of_line][codes[1]]
    for number in range(batches):
        some_entries, some_lines = np.flatnonzero(batch_of_entry == number), np.flatnonzero(batch_of_line == number)
        texts = [
            _distinct(of_entry[codes[0][some_entries]], change(entries.names.take(pa.array(some_entries)))),
            _distinct(of_line[codes[1][some_lines]], change(lines.names.take(pa.array(some_lines)))),
        ]
        yield some_entries, some_lines, pa.concat_arrays(texts).dictionary_encode().indices.to_numpy()


def _row_type(count: int) -> type[np.int32] | type[np.int64]:
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64


def _shared_folders(first: pa.DictionaryArray, second: pa.DictionaryArray) -> tuple[int, _Int64, _Int64]:
    """Number the folders of both arrays, so that the same folder has the same number.

    Returns:
        How many there are, and the number of each code of the first and of the second array.
    """
    names = pa.chunked_array([first.dictionary, second.dictionary]).combine_chunks().dictionary_encode()
    numbers = names.indices.to_numpy().astype(np.int64)
    return len(names.dictionary), numbers[: len(first.dictionary)], numbers[len(first.dictionary) :]


def _distinct(folders: _Int64, names: pa.Array) -> pa.Array:
    """Return strings that are equal exactly where folder and name are."""
    numbers = pa.array(folders).cast(pa.large_string())
    return pc.binary_join_element_wise(numbers, names, pa.scalar("/", pa.large_string()))


def _first_positions(codes: npt.NDArray[np.int32], positions: _Int64, count: int) -> _Int64:
    """Return for each code the first of the positions, which rise, that have it; -1 if none has."""
    firsts = np.full(count, -1, np.int64)
    firsts[codes[::-1]] = positions[::-1]
    return firsts
