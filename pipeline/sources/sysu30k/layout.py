"""Where the files of SYSU-30k lie: its tars or unpacked folders, the lists of images, and the bags.

The dataset is handed out as ``sysu_train_set_all_part1.tar`` to ``..._part10.tar`` and ``sysu_test_set_all.tar``, with
lists at the top or in ``meta/`` (https://github.com/wanggrun/SYSU-30k). Whoever unpacks it has folders named
``sysu_train_set_all`` and ``sysu_test_set_all``, below any parents.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.archives import natural_key
from pipeline.sources.misplaced import refuse_special
from pipeline.sources.sysu30k.recognise import ROOTS, TAR, TRAIN_ROOT
from shards_spec.errors import UsageError
from shards_spec.storage import FileInfo, Store

LISTS = ("train", "query", "gallery")
"""The lists, which are named after the splits."""

_DEPTH = 4
"""Levels of folders that are searched."""

_LIST = re.compile(r"(train|query|gallery)\.txt")
_BAGS = re.compile(r"bag_level_label\.(?:json|txt)")


@dataclass(slots=True)
class Layout:
    """The files of a source, by their paths below it."""

    tars: list[str] = field(default_factory=list)
    """Tar archives in their natural order: part 2 stands before part 10, and training parts come last."""
    folders: list[str] = field(default_factory=list)
    """Unpacked roots, sorted."""
    lists: dict[str, FileInfo] = field(default_factory=dict)
    """The list of each split that has one."""
    bags: FileInfo | None = None


def find_layout(store: Store) -> Layout:
    """Find the files of a source.

    Raises:
        UsageError: There is neither an archive nor an unpacked root, both are there, or a file is there twice.
    """
    layout = Layout()
    for file in _files(store, layout.folders):
        name = file.path.rpartition("/")[2]
        if match := _LIST.fullmatch(name):
            _refuse_second(store, layout.lists.get(match[1]), file)
            layout.lists[match[1]] = file
        elif _BAGS.fullmatch(name):
            _refuse_second(store, layout.bags, file)
            layout.bags = file
        elif TAR.fullmatch(name):
            layout.tars.append(file.path)
        else:
            continue
        refuse_special(store, file)
    layout.tars.sort(key=natural_key)
    layout.folders.sort()
    if layout.tars and layout.folders:
        raise UsageError(
            f"{store.url}: both {layout.tars[0]} and the folder {layout.folders[0]} are there: move one of the two away"
        )
    if not layout.tars and not layout.folders:
        raise UsageError(
            f"{store.url}: neither a tar such as {TRAIN_ROOT}_part1.tar nor a folder {TRAIN_ROOT} is there"
        )
    names = [folder.rpartition("/")[2] for folder in layout.folders]
    if len(set(names)) != len(names):
        raise UsageError(f"{store.url}: {' and '.join(layout.folders)} have the same name: move one of them away")
    return layout


def _files(store: Store, roots: list[str]) -> Iterator[FileInfo]:
    """Yield the files outside of the unpacked roots, which have too many to list, and add those roots to ``roots``."""
    level = [""]
    for _ in range(_DEPTH):
        below: list[str] = []
        for folder in level:
            yield from store.list_top(folder)
            below += store.folders(folder)
        roots += [folder for folder in below if folder.rpartition("/")[2] in ROOTS]
        level = [folder for folder in below if folder.rpartition("/")[2] not in ROOTS]


def _refuse_second(store: Store, first: FileInfo | None, second: FileInfo) -> None:
    if first is not None:
        raise UsageError(f"{store.url}: both {first.path} and {second.path} are there: move one of them away")
