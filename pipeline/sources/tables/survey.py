"""The surveys of the four kinds of sources: label files are read, joined with the files, and laid out as a catalog."""

from collections.abc import Callable, Sequence
from functools import partial

from pipeline.archives import Tasks
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog
from pipeline.sources.misplaced import refuse_special
from pipeline.sources.tables.box_format import decide_box_format
from pipeline.sources.tables.boxes import build_boxes
from pipeline.sources.tables.crops import build_crops
from pipeline.sources.tables.files import Files, list_files
from pipeline.sources.tables.folders import (
    MARKET_FOLDERS,
    MSMT17_LISTS,
    market_folders,
    read_market,
    read_msmt17,
    read_pattern,
)
from pipeline.sources.tables.options import TableOptions, check_pattern
from pipeline.sources.tables.prepare import prepare
from pipeline.sources.tables.queries import find_queries, read_queries
from pipeline.sources.tables.read import Read, of_folder, read_coco_files, read_tables
from pipeline.sources.tables.recognise import coco_files, table_files
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision
from shards_spec.storage import FileInfo, Store
from shards_spec.variants.tables.evidence import LayoutEvidence

_OF_ALL = ("split", "ids", "unlabelled", "pattern")

MOST_LABEL_FILES = 10_000
"""Most label files that are read; rows have the number of theirs in 16 bits."""

Progress = Callable[[str], None]


def survey_coco(source: Source, store: Store, options: TableOptions, progress: Progress, tasks: Tasks) -> Catalog:
    """Survey COCO JSON and its frames.

    Raises:
        UsageError: There is no such file, one cannot be read, or what it says is not clear.
        OSError: The store reports a fault.
    """
    options.refuse_others((*_OF_ALL, "person_field", "category", "queries"), source.title)
    files = _chosen(store, coco_files(store), options)
    if not files:
        raise UsageError(
            f"{store.url}: no JSON file with images and annotations lies at its top or in a folder annotations"
        )
    read = read_coco_files(store, files, options, progress)
    read.decisions["box_format"] = decide_box_format(read, options, store.url, is_documented=True)
    return _survey_boxes(source, store, read, options, progress, tasks)


def survey_boxes_table(
    source: Source, store: Store, options: TableOptions, progress: Progress, tasks: Tasks
) -> Catalog:
    """Survey tables of boxes and their frames. See ``survey_coco``."""
    options.refuse_others((*_OF_ALL, "box_format", "queries"), source.title)
    read = read_tables(store, _tables(store, options), progress, has_boxes=True)
    read.decisions["box_format"] = decide_box_format(read, options, store.url, is_documented=False)
    return _survey_boxes(source, store, read, options, progress, tasks)


def survey_crops_table(
    source: Source, store: Store, options: TableOptions, progress: Progress, tasks: Tasks
) -> Catalog:
    """Survey tables of crops and their images. See ``survey_coco``."""
    options.refuse_others(_OF_ALL, source.title)
    files = _tables(store, options)
    read = read_tables(store, files, progress, has_boxes=False)
    read.decisions["layout"] = Decision(
        "table", {"tables": len(files), "market1501": 0, "msmt17": 0, "patterns": int(options.pattern is not None)}
    )
    listed = list_files(store, {file.path for file in files}, progress, tasks)
    return build_crops(source, read, prepare(read, listed, options, store.url, progress), options)


def survey_crops_folder(
    source: Source, store: Store, options: TableOptions, progress: Progress, tasks: Tasks
) -> Catalog:
    """Survey a folder of crops. See ``survey_coco``."""
    options.refuse_others((*_OF_ALL, "layout"), source.title)
    lists = [file for file in store.list_top() if file.path in MSMT17_LISTS]
    layout = _decide_layout(store, lists, options)
    label_files = {file.path for file in lists} if layout.choice == "msmt17" else set()
    files = list_files(store, label_files, progress, tasks)
    if layout.choice == "msmt17":
        found = read_msmt17(store, files, lists)
    elif layout.choice == "market1501":
        found = read_market(files)
    else:
        found = read_pattern(files, check_pattern(options.pattern or ""))
    read = of_folder(found)
    read.decisions["layout"] = layout
    return build_crops(source, read, prepare(read, files, options, store.url, progress), options)


def _survey_boxes(
    source: Source, store: Store, read: Read, options: TableOptions, progress: Progress, tasks: Tasks
) -> Catalog:
    queries = read_queries(store, options)
    label_files = {file.file for file in read.labels.sources} | ({options.queries} if options.queries else set())
    files: Files = list_files(store, label_files, progress, tasks)
    prepared = prepare(read, files, options, store.url, progress, has_queries=queries is not None)
    if queries is None:
        return build_boxes(source, store, read, prepared, options, None)
    read.labels.sources.append(queries.source)
    return build_boxes(source, store, read, prepared, options, partial(find_queries, queries))


def _chosen(store: Store, files: Sequence[FileInfo], options: TableOptions) -> list[FileInfo]:
    """Return the label files that are read: those that ``--split`` names, if it names any."""
    named = {old for _, old in options.splits()}
    chosen = [file for file in files if named & {file.path, file.path.rpartition("/")[2]}] or list(files)
    if len(chosen) > MOST_LABEL_FILES:
        raise UsageError(f"{store.url}: {len(chosen):,} label files: at most {MOST_LABEL_FILES:,} are read: join some")
    for file in chosen:
        refuse_special(store, file)
    return chosen


def _tables(store: Store, options: TableOptions) -> list[FileInfo]:
    files = [file for file in table_files(store) if file.path != options.queries]
    if not files:
        raise UsageError(f"{store.url}: no table (CSV, JSON Lines, Parquet) lies at its top")
    return _chosen(store, files, options)


def _decide_layout(store: Store, lists: Sequence[FileInfo], options: TableOptions) -> Decision:
    """Decide how a folder of crops is laid out.

    Raises:
        UsageError: It is not clear.
    """
    asked = options.layout
    if asked == "pattern" and options.pattern is None:
        raise UsageError("--layout pattern: give --pattern REGEX as well")
    if asked == "msmt17" and not lists:
        raise UsageError(f"--layout msmt17: none of {', '.join(MSMT17_LISTS)} lies at the top of {store.url}")
    if asked != "auto":
        return Decision(asked, dict(GIVEN))
    counts = {
        "tables": 0,
        "market1501": len(list(market_folders(store))),
        "msmt17": len(lists),
        "patterns": int(options.pattern is not None),
    }
    choice = LayoutEvidence(**counts).choice()
    if choice is None:
        raise UsageError(
            f"{store.url}: how the folder of crops is laid out is not clear: there are {counts['market1501']} folders "
            f"such as {next(iter(MARKET_FOLDERS))} and {counts['msmt17']} lists such as {next(iter(MSMT17_LISTS))}: "
            "say --layout market1501 or --layout msmt17, or give --pattern REGEX"
        )
    return Decision(choice, counts)
