"""The survey of SYSU-30k: entries, lists and bags are joined, and laid out as one row for each image."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from pipeline.archives import Tasks
from pipeline.samples import Notes
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog, first_reject
from pipeline.sources.matching import Paths
from pipeline.sources.path_list import PathList, read_path_list
from pipeline.sources.sysu30k.archives import Entries, read_entries_of
from pipeline.sources.sysu30k.bags import LARGEST_FILE, Bags, parse_bags
from pipeline.sources.sysu30k.layout import LISTS, Layout, find_layout
from pipeline.sources.sysu30k.named import by_folders, by_lists, join_lists, paths_below_roots
from pipeline.sources.sysu30k.options import Sysu30kOptions
from pipeline.sources.sysu30k.recognise import ROOTS, TRAIN_ROOT
from pipeline.sources.sysu30k.rows import build_rows
from shards_spec.cells import cell_name
from shards_spec.errors import UsageError
from shards_spec.manifest import Account, Decision, SourceFile
from shards_spec.rejects import NOTE_EXAMPLES, Note
from shards_spec.storage import Store
from shards_spec.variants.sysu30k import DATASET, SplitsFromEvidence, TarPartsEvidence
from shards_spec.variants.sysu30k.bags import BAGS_FILE, encode_bags, ids_of_folders


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
        UsageError: There are no archives, one of them or a list cannot be read, or no image or too few are left.
        OSError: The store reports a fault.
    """
    layout = find_layout(store)
    lists, listed = _read_lists(store, layout if options.splits_from != "folders" else Layout(), progress)
    if options.splits_from == "lists" and not lists:
        raise UsageError(f"{store.url}: --splits-from lists: neither train.txt nor query.txt nor gallery.txt is there")
    entries = read_entries_of(store, layout, options, progress, tasks)
    paths = paths_below_roots(entries)
    progress("matching lists and archives")
    named = by_lists(entries, paths, lists, listed) if lists else by_folders(entries, paths)
    del listed  # tens of millions of paths, of which no more than what became of them is needed
    if not (named.split >= 0).any():
        raise UsageError(f"{store.url}: nothing to convert: no image is left{first_reject(named.rejects)}")
    notes = named.notes
    _note_lists(notes, lists)
    bags, bag_sources = _read_bags(store, layout, paths, notes)
    rows = build_rows(entries, layout, paths, named.split, bags)
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
        notes=notes.total(),
        gaps=[*entries.gaps, *_gaps(lists, paths, present)],
    )
    if named.total != rows.num_rows + lost:
        raise AssertionError(f"{named.total} images named, but {rows.num_rows} kept and {lost} rejected")
    return catalog


def _read_lists(store: Store, layout: Layout, progress: Callable[[str], None]) -> tuple[dict[str, PathList], Paths]:
    """Read the lists; return them in the order of ``LISTS`` with their paths one behind the other."""
    lists, paths = {}, {}
    for split in LISTS:
        if split in layout.lists:
            lists[split], paths[split] = read_path_list(store, layout.lists[split])
            progress(f"{layout.lists[split].path}: {lists[split].lines:,} lines")
    return lists, join_lists(paths)


def _read_bags(store: Store, layout: Layout, paths: Paths, notes: Notes) -> tuple[Bags | None, list[SourceFile]]:
    """Read the bags, if there are any; return them with the file, for the manifest."""
    if layout.bags is None:
        return None, []
    data = store.read_whole(layout.bags.path, LARGEST_FILE)
    root = f"{TRAIN_ROOT}/"
    folders = {
        str(folder).removeprefix(root).rstrip("/")
        for folder in paths.folders.dictionary.to_pylist()
        if str(folder).startswith(root) and str(folder) != root
    }
    bags = parse_bags(data, folders, f"{store.url}/{layout.bags.path}")
    notes.update(bags.notes.total())
    named = ids_of_folders(bags.bags)
    without_bag = sorted(folder for folder in folders if folder not in named)
    notes.add_all(Note.FOLDER_WITHOUT_BAG, len(without_bag), without_bag)
    source = SourceFile(layout.bags.path, len(data), hashlib.sha256(data).hexdigest())
    return bags, [source]


def _note_lists(notes: Notes, lists: Mapping[str, PathList]) -> None:
    for found in lists.values():
        file = found.source.file
        notes.add_all(Note.BYTE_ORDER_MARK, int(found.has_byte_order_mark), [file])
        notes.add_all(Note.CARRIAGE_RETURN, found.carriage_returns, [file])
        blank_lines = [f"{file}:{line}" for line in found.blank_lines[:NOTE_EXAMPLES].tolist()]
        notes.add_all(Note.BLANK_LINE, len(found.blank_lines), blank_lines)


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
