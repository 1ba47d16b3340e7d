r"""Folders of crops whose names or lists say who is seen: Market-1501, MSMT17, and any that a pattern describes.

Market-1501 (Zheng et al., ICCV 2015) has ``bounding_box_train``, ``bounding_box_test`` (the gallery) and ``query``,
with names such as ``0002_c1s1_000451_03.jpg``: person 2, camera 1. Its authors' page says that names that begin with
``0000`` are distractors, and those with ``-1`` junk, which is "neither good nor bad" and has no impact on accuracy.
DukeMTMC-reID has the same layout.

MSMT17 (Wei et al., CVPR 2018) has ``list_train.txt``, ``list_val.txt``, ``list_query.txt`` and ``list_gallery.txt``,
with lines such as ``0000/0000_000_01_0303morning_0015_0.jpg 0``: the path below ``train`` or ``test``
(``mask_train_v2`` and ``mask_test_v2`` in version 2), and the person. The third part of the name is the camera.
``list_val.txt`` has images of the persons in ``list_train.txt``, and belongs to the 32,621 training images that papers
name.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.tables.files import Files
from pipeline.sources.tables.joining import join_paths
from pipeline.sources.tables.labels import bad_row, label_batch
from pipeline.sources.text import UnreadableBlockError, check_text, plain_lines, read_blocks
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Reject, RejectReason
from shards_spec.storage import FileInfo, Store

MARKET_FOLDERS: Final = {"bounding_box_train": "train", "bounding_box_test": "gallery", "query": "query"}
"""The split of each folder of Market-1501."""

MSMT17_LISTS: Final = {
    "list_train.txt": ("train", ("train", "mask_train_v2")),
    "list_val.txt": ("train", ("train", "mask_train_v2")),
    "list_query.txt": ("query", ("test", "mask_test_v2")),
    "list_gallery.txt": ("gallery", ("test", "mask_test_v2")),
}
"""The split of each list of MSMT17, and the names of the folder that its paths are relative to."""

_NOTHING = pa.scalar("", pa.large_string())
_MARKET_NAME = r"^(?P<person_id>-?[0-9]+)_c(?P<camera>[0-9]+)"
_MSMT17_NAME = r"^[0-9]+_[0-9]+_(?P<camera>[0-9]+)(?:_|\.)"


@dataclass(slots=True)
class FolderLabels:
    """What the names and lists of a folder of crops say."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    sources: list[SourceFile] = field(default_factory=list)
    """The lists."""
    rejects: list[Reject] = field(default_factory=list)


def read_market(files: Files) -> FolderLabels:
    """Read ids, cameras and splits from the paths of Market-1501.

    Raises:
        UsageError: No image lies in one of its folders.
    """
    found = FolderLabels()
    parents = np.array(
        [str(folder).rstrip("/").rpartition("/")[2] for folder in files.paths.folders.dictionary.to_pylist()], object
    )
    codes = files.paths.folders.indices.to_numpy()
    for folder, split in MARKET_FOLDERS.items():
        rows = np.flatnonzero((parents == folder)[codes]) if len(files) else np.empty(0, np.int64)
        if not len(rows):
            continue
        names = files.paths.names.take(pa.array(rows))
        parts = pc.extract_regex(names, _MARKET_NAME)
        fits = parts.is_valid().to_numpy(zero_copy_only=False)
        for row in rows[~fits].tolist():
            detail = f"the name does not begin with a person and a camera, as 0002_c1 does: {files.path(row)}"
            found.rejects.append(_unnamed(files, row, detail))
        rows = rows[fits]
        parts = parts.filter(pa.array(fits))
        persons = pc.replace_substring_regex(pc.struct_field(parts, "person_id"), r"^(-?)0+([0-9])", r"\1\2")
        kinds = pc.if_else(
            pc.equal(persons, "-1"), "junk", pc.if_else(pc.equal(persons, "0"), "distractor", "labelled")
        )
        columns = {
            "path": _paths(files, rows),
            "person_id": persons.cast(pa.large_string()),
            "id_kind": kinds.cast(pa.large_string()),
            "camera": pc.replace_substring_regex(pc.struct_field(parts, "camera"), r"^0+([0-9])", r"\1"),
            "split": pa.repeat(pa.scalar(split, pa.large_string()), len(rows)),
        }
        batch, _, rejects = label_batch(columns, -1, rows, "")
        found.batches.append(batch)
        found.rejects += rejects
    if not found.batches:
        raise UsageError(
            f"--layout market1501: no image lies in a folder {', '.join(MARKET_FOLDERS)}: name the folder with these "
            "as SRC, or say --layout"
        )
    return found


def read_msmt17(store: Store, files: Files, lists: list[FileInfo]) -> FolderLabels:
    """Read the lists of MSMT17.

    Args:
        store: The store with the lists.
        files: The files of the source.
        lists: The lists that are there.

    Raises:
        UsageError: A list is no text.
    """
    found = FolderLabels()
    for number, file in enumerate(lists):
        split, roots = MSMT17_LISTS[file.path.rpartition("/")[2]]
        lines, source = _read_list(store, file, found.rejects)
        found.sources.append(source)
        rows = np.array([row for row, _, _ in lines], np.int64)
        paths = pa.array([path for _, path, _ in lines], pa.large_string())
        camera = pc.struct_field(pc.extract_regex(_names(paths), _MSMT17_NAME), "camera") if lines else paths
        columns = {
            "path": _below(paths, roots, files),
            "person_id": pa.array([person for _, _, person in lines], pa.large_string()),
            "camera": pc.replace_substring_regex(camera, r"^0+([0-9])", r"\1"),
            "split": pa.repeat(pa.scalar(split, pa.large_string()), len(rows)),
        }
        batch, _, rejects = label_batch(columns, number, rows, file.path)
        found.batches.append(batch)
        found.rejects += rejects
    return found


def read_pattern(files: Files, pattern: "re.Pattern[str]") -> FolderLabels:
    """Take the images whose paths a pattern matches. What it reads from them is filled in later, as for all sources.

    Raises:
        UsageError: It matches no path.
    """
    found = FolderLabels()
    rows = np.arange(len(files))
    paths = _paths(files, rows)
    fits = np.fromiter((pattern.search(path) is not None for path in paths.to_pylist()), bool, len(rows))
    if not fits.any():
        example = f", such as {paths[0].as_py()}" if len(rows) else ""
        raise UsageError(f"--pattern {pattern.pattern}: matches none of the {len(rows):,} paths of images{example}")
    batch, _, found.rejects = label_batch({"path": paths.filter(pa.array(fits))}, -1, rows[fits], "")
    found.batches.append(batch)
    return found


def _unnamed(files: Files, row: int, detail: str) -> Reject:
    return Reject(RejectReason.ROW_FIELDS, files.where(row), None, None, 1, detail)


def _read_list(store: Store, file: FileInfo, rejects: list[Reject]) -> tuple[list[tuple[int, str, str]], SourceFile]:
    """Return the number, the path and the person of each line."""
    check_text(store, file.path, file.size, "list of images")
    digest = hashlib.sha256()
    lines: list[tuple[int, str, str]] = []
    row = 0
    try:
        for raw in read_blocks(store, file.path, file.size, digest):
            block, _ = plain_lines(raw)
            for text in block.decode("utf-8", "backslashreplace").split("\n")[:-1]:
                row += 1
                path, _, person = text.strip().rpartition(" ")
                if path.strip() and re.fullmatch("-?[0-9]{1,18}", person):
                    lines.append((row, path.strip(), str(int(person))))
                elif text.strip():
                    rejects.append(bad_row(file.path, row, f"is no path and number: {text[:200]}"))
    except UnreadableBlockError as error:
        raise UsageError(f"{store.url}/{file.path}: line {row + error.line + 1} {error}") from error
    return lines, SourceFile(file.path, file.size, digest.hexdigest())


def _below(paths: pa.Array, roots: tuple[str, ...], files: Files) -> pa.Array:
    """Return the paths of a list below the one of the folders that has most of them."""
    candidates = [
        pc.binary_join_element_wise(pa.scalar(f"{root}/", pa.large_string()), paths, _NOTHING) for root in roots
    ]
    counts = [_count_found(some, files) for some in candidates]
    return candidates[counts.index(max(counts))]


def _count_found(paths: pa.Array, files: Files) -> int:
    distinct = paths.unique()
    return int(np.count_nonzero(join_paths(distinct, files.paths).file >= 0))


def _names(paths: pa.Array) -> Any:
    return pc.replace_substring_regex(paths, r"^.*/", "")


def _paths(files: Files, rows: Any) -> pa.Array:
    """Return the paths of some files as large strings."""
    taken = pa.array(rows)
    folders = files.paths.folders.take(taken).cast(pa.large_string())
    return pc.binary_join_element_wise(folders, files.paths.names.take(taken), pa.scalar("", pa.large_string()))


def market_folders(store: Store) -> Iterator[str]:
    """Yield the folders of Market-1501 that lie at the top of a store, or one level below."""
    for folder in store.folders():
        if folder in MARKET_FOLDERS:
            yield folder
        else:
            yield from (below for below in store.folders(folder) if below.rpartition("/")[2] in MARKET_FOLDERS)
