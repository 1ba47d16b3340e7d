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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.tables.files.files import Files
from pipeline.sources.tables.files.joining import join_paths
from pipeline.sources.tables.folders.recognise import MARKET_FOLDERS, MSMT17_LISTS, msmt17_lists
from pipeline.sources.tables.labels.table import Labels, bad_row, join_batches, label_batch
from pipeline.sources.tables.options import TableOptions, check_pattern
from pipeline.sources.text import UnreadableBlockError, check_text, plain_lines, read_blocks
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision, SourceFile
from shards_spec.rejects import Reject, RejectReason
from shards_spec.storage import FileInfo, Store
from shards_spec.variants.tables.evidence import LayoutEvidence

_NOTHING = pa.scalar("", pa.large_string())
_MARKET_NAME = r"^(?P<person_id>-?[0-9]+)_c(?P<camera>[0-9]+)"
_MSMT17_NAME = r"^[0-9]+_[0-9]+_(?P<camera>[0-9]+)(?:_|\.)"


@dataclass(slots=True)
class _Found:
    """What the names and lists of a folder of crops say."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    sources: list[SourceFile] = field(default_factory=list)
    """The lists."""
    rejects: list[Reject] = field(default_factory=list)


def label_lists(store: Store, layout: str) -> list[FileInfo]:
    """Return the lists that say who is seen in a folder of this layout."""
    return msmt17_lists(store) if layout == "msmt17" else []


def read_folder_labels(store: Store, files: Files, layout: Decision, options: TableOptions) -> Labels:
    """Read what the names or lists of a folder of crops say.

    Args:
        store: The store with the folder.
        files: Its files.
        layout: How it is laid out.
        options: The options, of which ``pattern`` counts.

    Raises:
        UsageError: No image is as the layout asks for.
    """
    if layout.choice == "msmt17":
        found = _read_msmt17(store, files, label_lists(store, layout.choice))
    elif layout.choice == "market1501":
        found = _read_market(files)
    else:
        found = _read_pattern(files, check_pattern(options.pattern or ""))
    return Labels(join_batches(found.batches), found.sources, found.rejects, decisions={"layout": layout})


def decide_layout(store: Store, options: TableOptions) -> Decision:
    """Decide how a folder of crops is laid out.

    Raises:
        UsageError: It is not clear.
    """
    asked, lists = options.layout, msmt17_lists(store)
    if asked == "pattern" and options.pattern is None:
        raise UsageError("--layout pattern: give --pattern REGEX as well")
    if asked == "msmt17" and not lists:
        raise UsageError(f"--layout msmt17: none of {', '.join(MSMT17_LISTS)} lies at the top of {store.url}")
    if asked != "auto":
        return Decision(asked, dict(GIVEN))
    counts = {
        "tables": 0,
        "market1501": len(list(_market_folders(store))),
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


def _read_market(files: Files) -> _Found:
    """Read ids, cameras and splits from the paths of Market-1501.

    Raises:
        UsageError: No image lies in one of its folders.
    """
    found = _Found()
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
            "path": files.path_texts(rows),
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


def _read_msmt17(store: Store, files: Files, lists: list[FileInfo]) -> _Found:
    """Read the lists of MSMT17.

    Args:
        store: The store with the lists.
        files: The files of the source.
        lists: The lists that are there.

    Raises:
        UsageError: A list is no text.
    """
    found = _Found()
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


def _read_pattern(files: Files, pattern: "re.Pattern[str]") -> _Found:
    """Take the images whose paths a pattern matches. What it reads from them is filled in later, as for all sources.

    Raises:
        UsageError: It matches no path.
    """
    found = _Found()
    rows = np.arange(len(files))
    paths = files.path_texts(rows)
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
    return int(np.count_nonzero(join_paths(distinct, files.paths, "").file >= 0))


def _names(paths: pa.Array) -> Any:
    return pc.replace_substring_regex(paths, r"^.*/", "")


def _market_folders(store: Store) -> Iterator[str]:
    """Yield the folders of Market-1501 that lie at the top of a store, or one level below."""
    for folder in store.folders():
        if folder in MARKET_FOLDERS:
            yield folder
        else:
            yield from (below for below in store.folders(folder) if below.rpartition("/")[2] in MARKET_FOLDERS)
