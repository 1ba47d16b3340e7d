"""The survey of SYSU-30k: entries, lists and bags are joined, and laid out as one row for each image."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives import EntryKind, Tasks, are_unsafe
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog
from pipeline.sources.matching import Matches, Paths, match_paths
from pipeline.sources.path_list import PathList, read_path_list
from pipeline.sources.sysu30k.archives import Entries, read_entries_of
from pipeline.sources.sysu30k.bags import LARGEST_FILE, Bags, parse_bags
from pipeline.sources.sysu30k.layout import LISTS, Layout, find_layout
from pipeline.sources.sysu30k.options import Sysu30kOptions
from pipeline.sources.sysu30k.recognise import ROOTS, TEST_ROOT, TRAIN_ROOT
from pipeline.sources.sysu30k.rows import build_rows
from shards_spec.cells import cell_name
from shards_spec.errors import UsageError
from shards_spec.manifest import Account, Decision, SourceFile
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.storage import Store
from shards_spec.variants.sysu30k import DATASET, SplitsFromEvidence, TarPartsEvidence
from shards_spec.variants.sysu30k.bags import BAGS_FILE, encode_bags, ids_of_folders

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
class _Named:
    """The images that the source names, and what became of them."""

    split: npt.NDArray[np.int8]
    """The split of each entry that is kept, as its position in ``LISTS``; -1 for all others, ``[entries]``."""
    rejects: list[Reject]
    lines: int
    """Number of lines in all lists."""
    total: int
    """Number of images that the source names."""
    notes: dict[Note, int]


def survey_sysu30k(
    source: Source, store: Store, options: Sysu30kOptions, progress: Callable[[str], None], tasks: Tasks
) -> Catalog:
    """Find out what a folder of SYSU-30k holds.

    Args:
        source: The kind of source, for the catalog.
        store: The store with the archives or unpacked folders, the lists and the bags.
        options: The source's own options.
        progress: A function that is called with a sentence about the progress now and then.
        tasks: What scans the archives.

    Raises:
        UsageError: There are no archives, one of them or a list cannot be read, or no image is left.
        OSError: The store reports a fault.
    """
    layout = find_layout(store)
    lists = {} if options.splits_from == "folders" else _read_lists(store, layout, progress)
    if options.splits_from == "lists" and not lists:
        raise UsageError(f"{store.url}: --splits-from lists: neither train.txt nor query.txt nor gallery.txt is there")
    entries = read_entries_of(store, layout, options, progress, tasks)
    paths = _paths_below_roots(entries)
    progress("matching lists and archives")
    named = _by_lists(entries, paths, lists) if lists else _by_folders(entries, paths)
    if not (named.split >= 0).any():
        raise UsageError(f"{store.url}: nothing to convert: no image is left{_first(named.rejects)}")
    bags, bag_sources, bag_notes = _read_bags(store, layout, paths)
    rows = build_rows(entries, layout, paths, named.split, bags)
    notes = {**named.notes, **bag_notes, **_list_notes(lists)}
    lost = sum(reject.samples for reject in named.rejects)
    bad_lines = sum(not reject.samples for reject in named.rejects)
    cells = {split: cell_name({"p1": [split]}) for split in LISTS}
    present = [split for number, split in enumerate(LISTS) if (named.split == number).any()]
    catalog = Catalog(
        source=source,
        rows=rows,
        protocols={"p1": {split: [cells[split]] if split in present else [] for split in sorted({*lists, *present})}},
        cell_splits={cells[split]: {"p1": [split]} for split in sorted(present)},
        dataset=DATASET,
        archives=sorted(entries.sources, key=lambda file: file.file),
        labels=[*(lists[split].source for split in LISTS if split in lists), *bag_sources],
        decisions=_decide(layout, entries, lists, options),
        accounts={
            "lines": Account(named.lines, named.lines - bad_lines, bad_lines),
            "images": Account(named.total, rows.num_rows, lost),
        },
        set_files={BAGS_FILE: encode_bags(bags.bags if bags is not None else [])},
        rejects=named.rejects,
        notes={note: count for note, count in sorted(notes.items()) if count},
        gaps=[*entries.gaps, *_gaps(lists, paths, present)],
    )
    if named.total != rows.num_rows + lost:
        raise AssertionError(f"{named.total} images named, but {rows.num_rows} kept and {lost} rejected")
    return catalog


def _read_lists(store: Store, layout: Layout, progress: Callable[[str], None]) -> dict[str, PathList]:
    lists = {}
    for split, file in layout.lists.items():
        lists[split] = read_path_list(store, file)
        progress(f"{file.path}: {lists[split].lines:,} lines")
    return lists


def _paths_below_roots(entries: Entries) -> Paths:
    """Return the entries' paths from their root on; entries outside of the roots have an empty folder.

    Whatever stands before the root in a path is left out, as in ``SYSU-30k-released/sysu_train_set_all/0000000001/``.
    """
    folders = entries.table["folder"].chunk(0) if entries.table.num_rows else pa.array([], _FOLDERS)
    names = [_from_root(folder) for folder in folders.dictionary.to_pylist()]
    distinct = pa.array(names, pa.large_string()).dictionary_encode()
    codes = distinct.indices.to_numpy()[folders.indices.to_numpy()] if len(folders) else np.empty(0, np.int32)
    return Paths(
        pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), distinct.dictionary),
        entries.table["name"].combine_chunks() if entries.table.num_rows else pa.array([], pa.large_string()),
    )


_FOLDERS = pa.dictionary(pa.int32(), pa.large_string())


def _from_root(folder: str) -> str:
    parts = folder.split("/")
    return next(("/".join(parts[number:]) for number, part in enumerate(parts) if part in ROOTS), "")


def _by_lists(entries: Entries, paths: Paths, lists: Mapping[str, PathList]) -> _Named:
    """Take the images that the lists name."""
    kinds, is_image = _kinds(entries), _are_images(entries, paths)
    splits = [split for split in LISTS if split in lists]
    listed = _join_paths([_below(FOLDER_OF_SPLIT[split], lists[split].paths) for split in splits])
    of_line = np.repeat([LISTS.index(split) for split in splits], [len(lists[split].paths) for split in splits])
    ends = np.cumsum([0, *(len(lists[split].paths) for split in splits)])
    matches = match_paths(paths, listed)
    rows = np.arange(len(listed))
    is_bad = _are_bad(listed)
    is_first = (matches.first_line == rows) & ~is_bad
    is_missing = is_first & (matches.entry_of_line < 0)

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
    notes = {
        Note.IMAGE_UNLABELLED: int(np.count_nonzero(is_unlisted)),
        Note.REPEATED_LINE: int(np.count_nonzero(~is_bad & ~is_first)),
        Note.ENTRY_IGNORED: int(np.count_nonzero(~is_image & (kinds != EntryKind.FOLDER) & (split < 0))),
    }
    return _Named(split, [*rejects, *repeats, *others], sum(found.lines for found in lists.values()), total, notes)


def _by_folders(entries: Entries, paths: Paths) -> _Named:
    """Take all images, in the splits of their folders."""
    kinds, is_image = _kinds(entries), _are_images(entries, paths)
    splits_of_folders = [
        next((number for number, split in enumerate(LISTS) if str(folder).startswith(FOLDER_OF_SPLIT[split])), -1)
        for folder in paths.folders.dictionary.to_pylist()
    ]
    codes = paths.folders.indices.to_numpy()
    split = np.array(splits_of_folders, np.int8)[codes] if len(paths) else np.empty(0, np.int8)
    split[~is_image] = -1
    empty = Paths(pa.array([], _FOLDERS), pa.array([], pa.large_string()))
    matches = match_paths(paths, empty)
    is_repeat = matches.first_entry != np.arange(len(paths))
    total = int(np.count_nonzero(split >= 0))
    firsts = np.where(is_repeat, -1, split).astype(np.int8)
    repeats = _reject_repeats(entries, paths, matches, firsts)
    others = list(_reject_others(entries, paths, kinds, firsts))
    firsts[kinds != EntryKind.FILE] = -1
    notes = {Note.ENTRY_IGNORED: int(np.count_nonzero((split < 0) & (kinds != EntryKind.FOLDER)))}
    return _Named(firsts, [*repeats, *others], 0, total, notes)


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
    is_repeat = (matches.first_entry != np.arange(len(paths))) & (split[matches.first_entry] >= 0)
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
    for row in np.flatnonzero((split >= 0) & (kinds != EntryKind.FILE)).tolist():
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


def _below(folder: str, paths: Paths) -> Paths:
    """Return paths with a folder before them."""
    longer = [folder + str(name) for name in paths.folders.dictionary.to_pylist()]
    return Paths(
        pa.DictionaryArray.from_arrays(paths.folders.indices, pa.array(longer, pa.large_string())), paths.names
    )


def _join_paths(parts: list[Paths]) -> Paths:
    folders = pa.chunked_array([part.folders for part in parts], _FOLDERS).unify_dictionaries().combine_chunks()
    names = pa.chunked_array([part.names for part in parts], pa.large_string()).combine_chunks()
    return Paths(folders.chunk(0) if isinstance(folders, pa.ChunkedArray) else folders, names)


def _are_bad(listed: Paths) -> _Bools:
    """Return which lines are no path of a file below the root."""
    is_bad_folder = are_unsafe(listed.folders.dictionary).to_numpy(zero_copy_only=False)
    is_bad: _Bools = is_bad_folder[listed.folders.indices.to_numpy()] if len(listed) else np.empty(0, bool)
    is_bad |= pc.is_in(listed.names, pa.array(["", ".", ".."], pa.large_string())).to_numpy(zero_copy_only=False)
    return is_bad


def _read_bags(store: Store, layout: Layout, paths: Paths) -> tuple[Bags | None, list[SourceFile], dict[Note, int]]:
    """Read the bags, if there are any; return them with the file, for the manifest, and notes."""
    if layout.bags is None:
        return None, [], {}
    data = store.read_whole(layout.bags.path, LARGEST_FILE)
    root = f"{TRAIN_ROOT}/"
    folders = {
        str(folder).removeprefix(root).rstrip("/")
        for folder in paths.folders.dictionary.to_pylist()
        if str(folder).startswith(root) and str(folder) != root
    }
    bags = parse_bags(data, folders, f"{store.url}/{layout.bags.path}")
    named = ids_of_folders(bags.bags)
    notes = {
        Note.BAG_REPEATED: bags.repeated_ids,
        Note.BAG_LABEL_REPEATED: bags.repeated_labels,
        Note.BAG_FOLDER_MISSING: bags.missing_folders,
        Note.FOLDER_WITHOUT_BAG: sum(folder not in named for folder in folders),
    }
    source = SourceFile(layout.bags.path, len(data), hashlib.sha256(data).hexdigest())
    return bags, [source], notes


def _list_notes(lists: Mapping[str, PathList]) -> dict[Note, int]:
    return {
        Note.BYTE_ORDER_MARK: sum(found.has_byte_order_mark for found in lists.values()),
        Note.CARRIAGE_RETURN: sum(found.carriage_returns for found in lists.values()),
        Note.BLANK_LINE: sum(len(found.blank_lines) for found in lists.values()),
    }


def _decide(
    layout: Layout, entries: Entries, lists: Mapping[str, PathList], options: Sysu30kOptions
) -> dict[str, Decision]:
    given: dict[str, Any] = {"given": True}
    parts = TarPartsEvidence(len(layout.tars), len(entries.streams) if layout.tars else 0)
    splits = SplitsFromEvidence(len(lists), sum(found.lines for found in lists.values()))
    return {
        "tar_parts": Decision(parts.choice(), msgspec.structs.asdict(parts))
        if options.tar_parts == "auto"
        else Decision(options.tar_parts, given),
        "splits_from": Decision(splits.choice(), msgspec.structs.asdict(splits))
        if options.splits_from == "auto"
        else Decision(options.splits_from, given),
    }


def _gaps(lists: Mapping[str, PathList], paths: Paths, present: list[str]) -> Iterator[str]:
    """Yield a sentence for each part of the dataset that seems to be missing."""
    folders = [str(folder) for folder in paths.folders.dictionary.to_pylist()]
    for root in ROOTS:
        if not any(folder.startswith(f"{root}/") for folder in folders):
            yield f"{root} is missing: no archive or folder holds it"
    if lists:
        for split in LISTS:
            if split not in lists:
                yield f"{split}.txt is missing, so the split {split} is empty"
            elif split not in present:
                yield f"{lists[split].source.file}: none of the images that it lists can be converted"


def _first(rejects: list[Reject]) -> str:
    """Return the end of a message: the first reject, if there is one."""
    if not rejects:
        return ""
    first = min(rejects, key=Reject.sort_key)
    return f"; {len(rejects):,} were rejected, such as {first.where}: {first.reason}: {first.detail}"
