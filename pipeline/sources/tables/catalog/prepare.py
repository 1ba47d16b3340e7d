"""What both kinds of catalogs need first: each labelled row with its image, split, person and camera."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.samples import Notes
from pipeline.sources.tables.files.files import Fault, Files
from pipeline.sources.tables.files.joining import AMBIGUOUS, Joined, join_paths, plain_paths
from pipeline.sources.tables.labels.pattern import fill_from_paths
from pipeline.sources.tables.labels.people import Cameras, People, read_cameras, read_people
from pipeline.sources.tables.labels.splits import QUERY, Splits, decide_splits
from pipeline.sources.tables.labels.table import Labels, label_where, plain
from pipeline.sources.tables.options import TableOptions, check_pattern
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.variants.tables.evidence import PathsEvidence

_Int64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class Prepared:
    """The labelled rows of a source, joined with its files."""

    where: str
    """The source's URL, for messages."""
    labels: Labels
    files: Files
    image: _Int64
    """The image of each row: a file of ``files``, or ``len(files)`` + the row's path if there is no such file."""
    paths: pa.Array
    """The different paths of the labels, as large strings."""
    root: str
    """The folders that are left out at the beginning of paths."""
    splits: Splits
    people: People
    cameras: Cameras
    notes: Notes
    ambiguous: npt.NDArray[np.bool_]
    """Which of ``paths`` several files end with, ``[paths]``."""

    def image_path(self, image: int) -> str:
        """Return the path of an image: that of the file, or as the labels spell it if there is none."""
        if image < len(self.files):
            return self.files.path(image)
        return str(self.paths[image - len(self.files)].as_py())

    def row_where(self, row: int) -> str:
        """Return the place of a row, in the form that rejects use."""
        file, number = self.labels.table["file"][row].as_py(), self.labels.table["row"][row].as_py()
        if file < 0:  # the image's own path is the label
            return self.files.where(number)
        return label_where(self.labels.sources[file].file, number)

    def image_fault(self, image: int) -> Fault | None:
        """Return why an image cannot be read, as far as that is known."""
        if image < len(self.files):
            return self.files.faults.get(image)
        path = image - len(self.files)
        if self.ambiguous[path]:
            return RejectReason.IMAGE_AMBIGUOUS, "several files end with this path: give more of its folders"
        return RejectReason.IMAGE_MISSING, "listed, but neither a file nor an entry of an archive ends with this path"


def prepare(
    labels: Labels,
    files: Files,
    options: TableOptions,
    where: str,
    progress: Callable[[str], None],
    *,
    has_queries: bool = False,
) -> Prepared:
    """Join the labels with the files, and read what they say of each row.

    Args:
        labels: The labels.
        files: The files.
        options: The options.
        where: The source's URL, for messages.
        progress: A function that is called with a sentence about the progress now and then.
        has_queries: Whether a list of queries adds a split.

    Raises:
        UsageError: What the labels or the options say makes no sense.
    """
    if not len(labels):
        first = min(labels.rejects, key=Reject.sort_key, default=None)
        because = (
            f"; {len(labels.rejects):,} rows were rejected, such as {first.where}: {first.detail}" if first else ""
        )
        raise UsageError(f"{where}: the labels name nothing that can be converted{because}")
    progress("joining the labels with the files")
    column = plain(labels.table["path"])
    paths = column.dictionary
    root = None if options.root() is None else plain_paths(pa.array([options.root()], pa.large_string()))[0].as_py()
    joined = join_paths(paths, files.paths, root)
    if root and not pc.any(pc.starts_with(paths, root)).as_py():
        raise UsageError(f"--labelled-root {options.labelled_root}: no labelled path begins so, such as {paths[0]}")
    file_of_path = joined.file
    is_found = file_of_path >= 0
    image_of_path = np.where(is_found, file_of_path, len(files) + np.arange(len(paths)))
    if options.pattern is not None:
        spelled = [
            files.path(int(file)) if file >= 0 else str(paths[place].as_py()) for place, file in enumerate(file_of_path)
        ]
        fill_from_paths(labels, spelled, check_pattern(options.pattern), where)
    image = image_of_path[column.indices.to_numpy()]
    listed = join_paths(plain_paths(pa.array(labels.listed, pa.large_string())), files.paths, joined.root).file
    is_used = np.zeros(len(files), bool)
    is_used[file_of_path[is_found]] = True
    is_used[listed[listed >= 0]] = True
    labels.decisions["paths"] = _paths_decision(joined, options)
    splits = decide_splits(labels, options, where, [QUERY] if has_queries else [])
    notes = Notes()
    notes.update(labels.notes.total())
    notes.update(files.notes.total())
    notes.add_rows(Note.IMAGE_UNLABELLED, ~is_used, files.where)
    prepared = Prepared(
        where=where,
        labels=labels,
        files=files,
        image=image,
        paths=paths,
        root=joined.root,
        splits=splits,
        people=read_people(labels, options),
        cameras=read_cameras(labels, where),
        notes=notes,
        ambiguous=file_of_path == AMBIGUOUS,
    )
    notes.add_rows(Note.SAMPLE_WITHOUT_SPLIT, splits.bits == 0, prepared.row_where)
    return prepared


def _paths_decision(joined: Joined, options: TableOptions) -> Decision:
    found = int(np.count_nonzero(joined.file >= 0))
    evidence = PathsEvidence(len(joined.file), joined.exact, found - joined.exact, joined.root)
    if options.root() is not None:
        return Decision(evidence.choice(), dict(GIVEN))
    return Decision(evidence.choice(), msgspec.structs.asdict(evidence))


def content_keys(prepared: Prepared) -> list[npt.NDArray[Any]]:
    """Return what a label says of who is seen and where, as columns of numbers, ``[rows]`` each."""
    group, _ = prepared.labels.codes("group_id")
    keys: list[npt.NDArray[Any]] = [prepared.people.codes, prepared.people.kinds, prepared.cameras.numbers, group]
    for column in map(plain, [] if prepared.labels.extra is None else prepared.labels.extra.columns):
        if pa.types.is_large_string(column.type):
            keys.append(column.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False))
        else:
            zero = pa.scalar(0, pa.int64()).cast(column.type)
            keys.append(column.fill_null(zero).to_numpy(zero_copy_only=False))
            if column.null_count:
                keys.append(column.is_valid().to_numpy(zero_copy_only=False))
    return keys
