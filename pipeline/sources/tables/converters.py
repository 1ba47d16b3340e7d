"""The working parts of the four kinds of sources, which differ in their surveys alone.

A survey reads label files (``coco``, ``rows`` or ``folders``) into one table (``labels``), joins it with the files of
the source (``files``), and lays both out as a catalog (``catalog``).
"""

from collections.abc import Callable, Iterable
from functools import partial

from pipeline.archives import SerialTasks, Tasks
from pipeline.options import Options
from pipeline.sources.base import Source
from pipeline.sources.catalog import Catalog
from pipeline.sources.misplaced import refuse_special
from pipeline.sources.tables import BOXES_TABLE, COCO, CROPS_FOLDER, CROPS_TABLE
from pipeline.sources.tables.catalog.box_format import decide_box_format
from pipeline.sources.tables.catalog.boxes import build_boxes
from pipeline.sources.tables.catalog.crops import build_crops
from pipeline.sources.tables.catalog.prepare import prepare
from pipeline.sources.tables.catalog.queries import find_queries, read_queries
from pipeline.sources.tables.coco.read import read_coco_files
from pipeline.sources.tables.coco.recognise import coco_files, look_for_coco
from pipeline.sources.tables.copying import CropConverter
from pipeline.sources.tables.cutting import FrameConverter
from pipeline.sources.tables.files.listing import list_files
from pipeline.sources.tables.folders.layouts import decide_layout, label_lists, read_folder_labels
from pipeline.sources.tables.labels.table import Labels
from pipeline.sources.tables.options import TableOptions
from pipeline.sources.tables.rows.read import read_tables
from pipeline.sources.tables.rows.recognise import table_files
from shards_spec.errors import UsageError
from shards_spec.manifest import Decision
from shards_spec.storage import FileInfo, Store

_OF_ALL = ("split", "ids", "unlabelled", "pattern")

MOST_LABEL_FILES = 10_000
"""Most label files that are read; rows have the number of theirs in 16 bits."""

_Progress = Callable[[str], None]


class CocoConverter(FrameConverter):
    """Surveys COCO JSON, and cuts its boxes out of the frames."""

    def survey(self, source: Store, options: Options, progress: _Progress, tasks: Tasks | None = None) -> Catalog:
        """Read the JSON files, and list the frames."""
        own = _own(options, COCO, "person_field", "category", "queries", "labelled_root")
        files = _choose(source, coco_files(source), own)
        if not files:
            raise UsageError(f"{source.url}: {look_for_coco(source).what}")
        labels = read_coco_files(source, files, own, progress)
        labels.decisions["box_format"] = decide_box_format(labels, own, source.url, is_documented=True)
        return _survey_boxes(COCO, source, labels, own, progress, tasks)


class BoxesTableConverter(FrameConverter):
    """Surveys tables of boxes, and cuts these out of the frames."""

    def survey(self, source: Store, options: Options, progress: _Progress, tasks: Tasks | None = None) -> Catalog:
        """Read the tables, and list the frames."""
        own = _own(options, BOXES_TABLE, "box_format", "queries", "labelled_root")
        labels = read_tables(source, _tables(source, own), progress, has_boxes=True)
        labels.decisions["box_format"] = decide_box_format(labels, own, source.url, is_documented=False)
        return _survey_boxes(BOXES_TABLE, source, labels, own, progress, tasks)


class CropsTableConverter(CropConverter):
    """Surveys tables of crops, and takes these over as they are."""

    def survey(self, source: Store, options: Options, progress: _Progress, tasks: Tasks | None = None) -> Catalog:
        """Read the tables, and list the crops."""
        own = _own(options, CROPS_TABLE, "labelled_root")
        files = _tables(source, own)
        labels = read_tables(source, files, progress, has_boxes=False)
        labels.decisions["layout"] = Decision(
            "table", {"tables": len(files), "market1501": 0, "msmt17": 0, "patterns": int(own.pattern is not None)}
        )
        listed = list_files(source, {file.path for file in files}, progress, tasks or SerialTasks(source))
        return build_crops(CROPS_TABLE, prepare(labels, listed, own, source.url, progress), own)


class CropsFolderConverter(CropConverter):
    """Surveys folders of crops, and takes these over as they are."""

    def survey(self, source: Store, options: Options, progress: _Progress, tasks: Tasks | None = None) -> Catalog:
        """List the crops, and read their names or lists."""
        own = _own(options, CROPS_FOLDER, "layout")
        layout = decide_layout(source, own)
        lists = {file.path for file in label_lists(source, layout.choice)}
        files = list_files(source, lists, progress, tasks or SerialTasks(source))
        labels = read_folder_labels(source, files, layout, own)
        return build_crops(CROPS_FOLDER, prepare(labels, files, own, source.url, progress), own)


def _survey_boxes(
    kind: Source, store: Store, labels: Labels, options: TableOptions, progress: _Progress, tasks: Tasks | None
) -> Catalog:
    """Join labelled boxes with their frames and with the list of queries, and lay them out."""
    queries = read_queries(store, options)
    label_files = {file.file for file in labels.sources} | ({options.queries} if options.queries else set())
    files = list_files(store, label_files, progress, tasks or SerialTasks(store))
    prepared = prepare(labels, files, options, store.url, progress, has_queries=queries is not None)
    if queries is None:
        return build_boxes(kind, store, prepared, options, None)
    labels.sources.append(queries.source)
    return build_boxes(kind, store, prepared, options, partial(find_queries, queries))


def _own(options: Options, kind: Source, *taken: str) -> TableOptions:
    """Return the options of these kinds of sources.

    Raises:
        UsageError: An option was given that this kind does not take.
    """
    assert isinstance(options.own, TableOptions)
    options.own.refuse_others((*_OF_ALL, *taken), kind.title)
    return options.own


def _tables(store: Store, options: TableOptions) -> list[FileInfo]:
    files = [file for file in table_files(store) if file.path != options.queries]
    if not files:
        raise UsageError(f"{store.url}: no table (CSV, JSON Lines, Parquet) lies at its top")
    return _choose(store, files, options)


def _choose(store: Store, files: Iterable[FileInfo], options: TableOptions) -> list[FileInfo]:
    """Return the label files that are read: those that ``--split`` names, if it names any."""
    found = list(files)
    named = {old for _, old in options.splits()}
    chosen = [file for file in found if named & {file.path, file.path.rpartition("/")[2]}] or found
    if len(chosen) > MOST_LABEL_FILES:
        raise UsageError(f"{store.url}: {len(chosen):,} label files: at most {MOST_LABEL_FILES:,} are read: join some")
    for file in chosen:
        refuse_special(store, file)
    return chosen
