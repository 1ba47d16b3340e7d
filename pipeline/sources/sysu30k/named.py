"""What SYSU-30k names: the images that its lists or its folders put into splits, and what is lost of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import EntryKind, are_unsafe
from pipeline.samples import Notes
from pipeline.sources.matching import Matches, Paths, match_paths
from pipeline.sources.path_list import PathList
from pipeline.sources.sysu30k.archives import Entries
from pipeline.sources.sysu30k.layout import LISTS
from pipeline.sources.sysu30k.recognise import ROOTS, TEST_ROOT, TRAIN_ROOT
from shards_spec.rejects import Note, Reject, RejectReason, check_rejects

FOLDER_OF_SPLIT = {"train": f"{TRAIN_ROOT}/", "query": f"{TEST_ROOT}/query/", "gallery": f"{TEST_ROOT}/gallery/"}
"""What the paths in each split's list are relative to."""

_IMAGE = r"(?i)^[^.].*\.(?:jpe?g|png|bmp|webp|tiff?|gif)$"
"""Names of images. Files whose names begin with a dot are those that systems leave in folders."""

_KIND_WORDS = {
    EntryKind.FOLDER: "a folder",
    EntryKind.LINK: "a link",
    EntryKind.SPARSE: "a sparse file",
    EntryKind.OTHER: "a device or the like",
}

_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Named:
    """The images that the source names, and what became of them."""

    split: npt.NDArray[np.int8]
    """The split of each entry that is kept, as its position in ``LISTS``; -1 for all others, ``[entries]``."""
    rejects: list[Reject]
    lines: int
    """Number of lines in all lists."""
    total: int
    """Number of images that the source names."""
    notes: Notes


def paths_below_roots(entries: Entries) -> Paths:
    """Return the entries' paths from their root on; entries outside of the roots have an empty folder.

    Whatever stands before the root in a path is left out, as in ``SYSU-30k-released/sysu_train_set_all/0000000001/``.
    """
    folders = entries.table["folder"].chunk(0) if entries.table.num_rows else pa.array([], _FOLDERS)
    names = [_from_root(folder) for folder in folders.dictionary.to_pylist()]
    distinct = pa.array(names, pa.large_string()).dictionary_encode()
    codes = distinct.indices.to_numpy()[folders.indices.to_numpy()] if len(folders) else np.empty(0, np.int32)
    return Paths(
        pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), distinct.dictionary),
        entries.table["name"].chunk(0) if entries.table.num_rows else _NO_NAMES,
    )


_FOLDERS = pa.dictionary(pa.int32(), pa.large_string())
_NO_NAMES = pa.array([], pa.large_string())


def _from_root(folder: str) -> str:
    parts = folder.split("/")
    return next(("/".join(parts[number:]) for number, part in enumerate(parts) if part in ROOTS), "")


def join_lists(lists: Mapping[str, Paths]) -> Paths:
    """Return the paths of all lists, one behind the other, from their root on.

    Args:
        lists: The paths of each split's list, in the order of ``LISTS``.
    """
    folders = [_below(FOLDER_OF_SPLIT[split], paths.folders) for split, paths in lists.items()]
    joined = pa.chunked_array(folders, _FOLDERS).unify_dictionaries()
    return Paths(pa.concat_arrays(joined.chunks or [pa.array([], _FOLDERS)]), _join_names(list(lists.values())))


def _join_names(lists: list[Paths]) -> pa.Array:
    return lists[0].names if len(lists) == 1 else pa.concat_arrays([_NO_NAMES, *(paths.names for paths in lists)])


def _below(folder: str, folders: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return folders with another one before them."""
    longer = [folder + str(name) for name in folders.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(folders.indices, pa.array(longer, pa.large_string()))


def by_lists(entries: Entries, paths: Paths, lists: Mapping[str, PathList], listed: Paths) -> Named:
    """Take the images that the lists name.

    Args:
        entries: The entries of the source.
        paths: Their paths from their root on.
        lists: The list of each split that has one, in the order of ``LISTS``.
        listed: The paths of all lists, one behind the other, from their root on.

    Raises:
        UsageError: More is lost than ``rejects.jsonl`` can name.
    """
    kinds, is_image = _kinds(entries), _are_images(entries, paths)
    splits, counts = list(lists), [found.count for found in lists.values()]
    of_line = np.repeat(np.array([LISTS.index(split) for split in splits], np.int8), counts)
    ends = np.cumsum([0, *counts])
    matches = match_paths(paths, listed)
    is_bad = _are_bad(listed)
    is_first = _are_own(matches.first_line) & ~is_bad
    is_missing = is_first & (matches.entry_of_line < 0)
    check_rejects(int(np.count_nonzero(is_bad)), "lines of the lists are no paths: are they the lists of images?")
    check_rejects(int(np.count_nonzero(is_missing)), "listed images are in no archive: get the missing archives")

    def where(row: int) -> str:
        number = int(np.searchsorted(ends, row, side="right")) - 1
        return lists[splits[number]].where(row - int(ends[number]))

    rejects = [
        Reject(RejectReason.LINE_NAME, where(row), None, None, 0, f"{_path(listed, row)} is no path below the root")
        for row in np.flatnonzero(is_bad).tolist()
    ]
    rejects += [
        Reject(RejectReason.IMAGE_MISSING, where(row), _image(listed, row), None, 1, "listed, but in no archive")
        for row in np.flatnonzero(is_missing).tolist()
    ]
    split = np.full(len(paths), -1, np.int8)
    found = is_first & (matches.entry_of_line >= 0)
    split[matches.entry_of_line[found]] = of_line[found]
    repeats = _reject_repeats(entries, paths, matches, split)
    others = list(_reject_others(entries, paths, kinds, split))
    is_unlisted = is_image & (split < 0) & (split[matches.first_entry] < 0)  # others of a listed path are rejects
    total = int(np.count_nonzero(is_first)) + len(repeats)
    split[kinds != EntryKind.FILE] = -1
    is_ignored = ~is_image & (kinds != EntryKind.FOLDER) & (split < 0)
    notes = Notes()
    notes.add_rows(Note.IMAGE_UNLABELLED, is_unlisted, lambda row: _entry_where(entries, row))
    notes.add_rows(Note.REPEATED_LINE, ~is_bad & ~is_first, where)
    notes.add_rows(Note.ENTRY_IGNORED, is_ignored, lambda row: _entry_where(entries, row))
    return Named(split, [*rejects, *repeats, *others], sum(found.lines for found in lists.values()), total, notes)


def by_folders(entries: Entries, paths: Paths) -> Named:
    """Take all images, in the splits of their folders."""
    kinds, is_image = _kinds(entries), _are_images(entries, paths)
    splits_of_folders = [
        next((number for number, split in enumerate(LISTS) if str(folder).startswith(FOLDER_OF_SPLIT[split])), -1)
        for folder in paths.folders.dictionary.to_pylist()
    ]
    codes = paths.folders.indices.to_numpy()
    split = np.array(splits_of_folders, np.int8)[codes] if len(paths) else np.empty(0, np.int8)
    split[~is_image] = -1
    matches = match_paths(paths, Paths(pa.array([], _FOLDERS), _NO_NAMES))
    is_repeat = ~_are_own(matches.first_entry)
    total = int(np.count_nonzero(split >= 0))
    firsts = np.where(is_repeat, -1, split).astype(np.int8)
    repeats = _reject_repeats(entries, paths, matches, firsts)
    others = list(_reject_others(entries, paths, kinds, firsts))
    firsts[kinds != EntryKind.FILE] = -1
    notes = Notes()
    is_ignored = (split < 0) & (kinds != EntryKind.FOLDER)
    notes.add_rows(Note.ENTRY_IGNORED, is_ignored, lambda row: _entry_where(entries, row))
    return Named(firsts, [*repeats, *others], 0, total, notes)


def _are_own(firsts: npt.NDArray[np.signedinteger[Any]]) -> _Bools:
    """Return which rows are the first ones with their path."""
    return np.asarray(firsts == np.arange(len(firsts), dtype=firsts.dtype))


def _kinds(entries: Entries) -> npt.NDArray[np.uint8]:
    kinds: npt.NDArray[np.uint8] = entries.table["kind"].to_numpy()
    return kinds


def _are_images(entries: Entries, paths: Paths) -> _Bools:
    """Return which entries are images by their names, and lie in a root, ``[entries]``."""
    is_in_root = np.array([bool(folder) for folder in paths.folders.dictionary.to_pylist()], bool)
    named = pc.match_substring_regex(paths.names, _IMAGE).to_numpy(zero_copy_only=False)
    inside = is_in_root[paths.folders.indices.to_numpy()] if len(paths) else np.empty(0, bool)
    return np.asarray(named & inside & (_kinds(entries) != EntryKind.FOLDER))


def _reject_repeats(entries: Entries, paths: Paths, matches: Matches, split: npt.NDArray[np.int8]) -> list[Reject]:
    """Return a reject for each further entry of an image that is taken."""
    is_repeat = ~_are_own(matches.first_entry) & (split[matches.first_entry] >= 0)
    check_rejects(int(np.count_nonzero(is_repeat)), "images are in the archives twice: leave one copy of each archive")
    return [
        Reject(
            RejectReason.IMAGE_REPEATED,
            _entry_where(entries, row),
            _image(paths, row),
            None,
            1,
            f"{_entry_where(entries, int(matches.first_entry[row]))} has the same path and is taken",
        )
        for row in np.flatnonzero(is_repeat).tolist()
    ]


def _reject_others(
    entries: Entries, paths: Paths, kinds: npt.NDArray[np.uint8], split: npt.NDArray[np.int8]
) -> Iterator[Reject]:
    """Yield a reject for each image that is no plain file."""
    is_other = (split >= 0) & (kinds != EntryKind.FILE)
    check_rejects(int(np.count_nonzero(is_other)), "images are links or the like: pack the files that they lead to")
    for row in np.flatnonzero(is_other).tolist():
        what = f"the entry is {_KIND_WORDS[EntryKind(int(kinds[row]))]}, not a plain file"
        yield Reject(RejectReason.IMAGE_UNSUPPORTED, _entry_where(entries, row), _image(paths, row), None, 1, what)


def _entry_where(entries: Entries, row: int) -> str:
    path = f"{entries.table['folder'][row].as_py()}{entries.table['name'][row].as_py()}"
    number = int(entries.archive[row])
    if not entries.streams:
        return f"{entries.sources[number].file}:{path.partition('/')[2]}"
    file, _ = entries.streams[number].place(entries.table["offset"][row].as_py())
    return f"{file}:{path}"


def _path(paths: Paths, row: int) -> str:
    return f"{paths.folders[row].as_py()}{paths.names[row].as_py()}"


def _image(paths: Paths, row: int) -> str:
    """Return the path of an image below its root."""
    return _path(paths, row).partition("/")[2]


def _are_bad(listed: Paths) -> _Bools:
    """Return which lines are no path of a file below the root."""
    is_bad_folder = are_unsafe(listed.folders.dictionary).to_numpy(zero_copy_only=False)
    is_bad: _Bools = is_bad_folder[listed.folders.indices.to_numpy()] if len(listed) else np.empty(0, bool)
    is_bad |= pc.is_in(listed.names, pa.array(["", ".", ".."], pa.large_string())).to_numpy(zero_copy_only=False)
    return is_bad
