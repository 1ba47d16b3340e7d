"""Matching listed paths with the entries of archives, tens of millions of each, with bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PATHS_AT_ONCE = 1 << 21
"""About how many paths are compared at once: some 300 MB of strings and their hash table."""

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

    first_entry: _Int64
    """For each entry the first entry with its path, which is itself unless the path is repeated, ``[entries]``."""
    first_line: _Int64
    """For each line the first line with its path, ``[lines]``."""
    entry_of_line: _Int64
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
    matches = Matches(*(np.full(count, -1, np.int64) for count in (len(entries), len(lines), len(lines))))
    folders_of_entries, folders_of_lines = _shared_codes(entries.folders, lines.folders)
    for of_entries, of_lines in _batches(folders_of_entries, folders_of_lines, at_once):
        names = pa.chunked_array(
            [
                _distinct(folders_of_entries[of_entries], entries.names.take(pa.array(of_entries))),
                _distinct(folders_of_lines[of_lines], lines.names.take(pa.array(of_lines))),
            ]
        )
        codes = names.combine_chunks().dictionary_encode().indices.to_numpy()
        entry_codes, line_codes = codes[: len(of_entries)], codes[len(of_entries) :]
        count = int(codes.max(initial=-1)) + 1
        firsts = _first_positions(entry_codes, of_entries, count)
        matches.first_entry[of_entries] = firsts[entry_codes]
        matches.entry_of_line[of_lines] = firsts[line_codes]
        matches.first_line[of_lines] = _first_positions(line_codes, of_lines, count)[line_codes]
    return matches


def _shared_codes(first: pa.DictionaryArray, second: pa.DictionaryArray) -> tuple[_Int64, _Int64]:
    """Return numbers for the folders of both arrays, the same for the same folder."""
    names = pa.chunked_array([first.dictionary, second.dictionary]).combine_chunks().dictionary_encode()
    numbers = names.indices.to_numpy().astype(np.int64)
    of_first, of_second = numbers[: len(first.dictionary)], numbers[len(first.dictionary) :]
    return of_first[first.indices.to_numpy()], of_second[second.indices.to_numpy()]


def _batches(entries: _Int64, lines: _Int64, at_once: int) -> Iterator[tuple[_Int64, _Int64]]:
    """Yield the positions of the entries and the lines of a few folders at a time, each in rising order."""
    count = int(max(entries.max(initial=-1), lines.max(initial=-1))) + 1
    sizes = np.bincount(entries, minlength=count) + np.bincount(lines, minlength=count)
    batch_of_folder = np.cumsum(sizes) // at_once
    batches = int(batch_of_folder[-1]) + 1 if count else 0
    sorted_parts = []
    for codes in (entries, lines):
        batch = batch_of_folder[codes] if count else codes
        order = np.argsort(batch, kind="stable")
        sorted_parts.append((order, np.searchsorted(batch[order], np.arange(batches + 1))))
    for number in range(batches):
        (by_entry, entry_ends), (by_line, line_ends) = sorted_parts
        yield (
            by_entry[entry_ends[number] : entry_ends[number + 1]],
            by_line[line_ends[number] : line_ends[number + 1]],
        )


def _distinct(folders: _Int64, names: pa.Array) -> pa.Array:
    """Return strings that are equal exactly where folder and name are."""
    numbers = pa.array(folders).cast(pa.large_string())
    return pc.binary_join_element_wise(numbers, names, pa.scalar("/", pa.large_string()))


def _first_positions(codes: npt.NDArray[np.int32], positions: _Int64, count: int) -> _Int64:
    """Return for each code the first of the positions, which rise, that have it; -1 if none has."""
    firsts = np.full(count, -1, np.int64)
    firsts[codes[::-1]] = positions[::-1]
    return firsts
