"""Checks which files a set contains: those that its manifest names, and others."""

import re
from collections.abc import Iterator, Sequence

from shards_spec.layout import REPORT_FILE
from shards_spec.manifest import MANIFEST_FILE, Manifest
from shards_spec.storage import FileInfo, Kind
from shards_spec.verify.shard import Fault

_LEFT_BY_TOOLS = re.compile(r"\.gitattributes|(?:.*/)?\.(?:cache|nv-meta)/.*|[^/]+/[^/]+\.idx")
"""Files of the Hugging Face Hub and of Energon, and the indexes that DALI and webdataset write next to tars."""


def _left_by_tools(file: FileInfo) -> bool:
    return file.kind is Kind.FILE and _LEFT_BY_TOOLS.fullmatch(file.path) is not None


def tool_notes(listed: Sequence[FileInfo]) -> Iterator[str]:
    """Yield a note about files that other tools have left; no reader takes them for a part of the set."""
    left = [file.path for file in listed if _left_by_tools(file)]
    if left:
        which = f"{left[0]} is" if len(left) == 1 else f"{len(left):,} files, such as {left[0]}, are"
        yield f"{which} not of this set, but what another tool leaves in one"


def _known_files(manifest: Manifest) -> set[str]:
    known = {MANIFEST_FILE, REPORT_FILE, *manifest.files}
    for cell in manifest.cells.values():
        known.add(cell.index.file)
        known.update(shard.file for shard in cell.shards)
    return known


def strangers(listed: Sequence[FileInfo], manifest: Manifest) -> Iterator[Fault]:
    """Yield files that do not belong to the set; a reader that lists folders would read them."""
    known = _known_files(manifest)
    folders = {file.rpartition("/")[0] for file in known}
    for file in listed:
        if _left_by_tools(file):
            continue
        if file.path not in known and not (file.kind is Kind.FOLDER_LINK and file.path in folders):
            is_what = "is not of this set"
            yield Fault(file.path, is_what if file.kind is Kind.FILE else f"{is_what}, and a {file.kind}")


def link_notes(listed: Sequence[FileInfo], manifest: Manifest) -> Iterator[str]:
    """Yield a note if files of the set are symbolic links.

    Links are not a fault: readers follow them, and some tools keep every file as a link (the Hugging Face Hub's cache,
    DVC, git-annex).
    """
    known = _known_files(manifest)
    links = [
        file.path for file in listed if file.kind is Kind.FOLDER_LINK or (file.kind is Kind.LINK and file.path in known)
    ]
    if links:
        which = (
            f"{links[0]} is a symbolic link"
            if len(links) == 1
            else f"{len(links):,} files are symbolic links, such as {links[0]}"
        )
        yield f"{which}: copy the set with cp -rL or rsync -rL, which take along what the links lead to"
