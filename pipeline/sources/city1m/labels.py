"""City1M's label files: finding them, reading them block by block, parsing the blocks side by side."""

import hashlib
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pipeline.sources.city1m.columns import LineBlock, parse_block
from pipeline.sources.city1m.lines import LINE_LIMIT
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Note, Reject
from shards_spec.storage import Store

SPLITS = ("gallery", "query", "train")

BLOCK_SIZE = 16 << 20
"""Bytes of a label file read and parsed at a time."""

LARGEST_FILE_COUNT = 63
"""Label files; a frame's splits are a bit a file in 64."""

_FILE = re.compile(r"(train|query|gallery)_part([0-9]{1,9})\.txt")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_THREADS = 4
"""Each holds a block and ten times its size beside it."""


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label file: the frames of one split of one protocol."""

    path: str
    protocol: str
    """``p1`` for the files that end with ``_part1.txt``, which the README calls Protocol@1."""
    split: str
    size: int


@dataclass(frozen=True, slots=True)
class FileBlock:
    """Some adjacent lines, and where they stand."""

    file: int
    """Position of the file among the label files."""
    first_line: int
    """Number of the block's first line, counted from 1."""
    block: LineBlock


@dataclass(slots=True)
class Labels:
    """What the label files say, line by line."""

    files: list[LabelFile]
    sources: list[SourceFile] = field(default_factory=list)
    blocks: list[FileBlock] = field(default_factory=list)
    """In the order of the files and their lines."""
    lines: int = 0
    blank_lines: int = 0
    rejects: list[Reject] = field(default_factory=list)
    """Of lines that are lost, one a line."""
    notes: Counter[str] = field(default_factory=Counter)


def find_label_files(store: Store) -> list[LabelFile]:
    """The label files at the top of ``store``, by protocol, then split.

    Raises:
        UsageError: there is none, or more than ``LARGEST_FILE_COUNT``.
    """
    found = []
    for info in store.list_top():
        match = _FILE.fullmatch(info.path)
        if match is not None:
            found.append((int(match[2]), LabelFile(info.path, f"p{match[2]}", match[1], info.size)))
    if not found:
        raise UsageError(
            f"{store.url}: no label file such as train_part1.txt is there: name their folder with --labels"
        )
    if len(found) > LARGEST_FILE_COUNT:
        raise UsageError(f"{store.url}: {len(found)} label files, but at most {LARGEST_FILE_COUNT} are taken")
    return [file for _, file in sorted(found, key=lambda item: (item[0], item[1].protocol, item[1].split))]


def read_labels(store: Store, progress: Callable[[str], None] | None = None) -> Labels:
    """Read and parse the label files at the top of ``store``.

    Raises:
        UsageError: there is none, or too many.
    """
    labels = Labels(find_label_files(store))
    threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    with ThreadPoolExecutor(threads, thread_name_prefix="labels") as pool:
        for number, file in enumerate(labels.files):
            digest = hashlib.sha256()
            next_line = 1
            for block in _parse_all(pool, read_blocks(store, file, digest), threads + 1):
                _add(labels, FileBlock(number, next_line, block))
                next_line += block.lines
            labels.sources.append(SourceFile(file.path, file.size, digest.hexdigest()))
            if _has_byte_order_mark(store, file):
                labels.notes[Note.BYTE_ORDER_MARK] += 1
            if progress is not None:
                progress(f"{file.path}: {next_line - 1:,} lines")
    return labels


def read_blocks(store: Store, file: LabelFile, digest: Any) -> Iterator[bytes]:
    """Whole lines of a label file, a block at a time, without the byte order mark; feeds ``digest`` with all bytes.

    Each line has its end, also where the last one lacks it. Of a line that goes on for more than ``LINE_LIMIT`` bytes
    after a block's end only what shows that it is too long is handed out, so that memory stays bounded.
    """
    rest = b""
    is_skipping = False
    for start in range(0, file.size, BLOCK_SIZE):
        piece = store.read(file.path, start, min(start + BLOCK_SIZE, file.size))
        digest.update(piece)
        if start == 0:
            piece = piece.removeprefix(_BYTE_ORDER_MARK)
        if is_skipping:
            line_end = piece.find(b"\n")
            if line_end < 0:
                continue
            piece = piece[line_end:]
            is_skipping = False
        line_end = piece.rfind(b"\n") + 1
        if line_end:
            yield rest + piece[:line_end]
            rest = piece[line_end:]
        else:
            rest += piece
        if len(rest) > LINE_LIMIT + 1:
            rest = rest[: LINE_LIMIT + 1]
            is_skipping = True
    if rest:
        yield rest + b"\n"


def _has_byte_order_mark(store: Store, file: LabelFile) -> bool:
    length = len(_BYTE_ORDER_MARK)
    return file.size >= length and store.read(file.path, 0, length) == _BYTE_ORDER_MARK


def _parse_all(pool: ThreadPoolExecutor, blocks: Iterator[bytes], ahead: int) -> Iterator[LineBlock]:
    """Parse ``blocks`` on the threads of ``pool``, at most ``ahead`` at a time, in order."""
    pending: deque[Future[LineBlock]] = deque()
    for block in blocks:
        pending.append(pool.submit(parse_block, block))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _add(labels: Labels, located: FileBlock) -> None:
    block = located.block
    path = labels.files[located.file].path
    labels.lines += block.lines
    labels.blank_lines += block.blank_lines
    if block.blank_lines:
        labels.notes[Note.BLANK_LINE] += block.blank_lines
    if block.carriage_returns:
        labels.notes[Note.CARRIAGE_RETURN] += block.carriage_returns
    for number, fault in block.faults:
        where = f"{path}:{located.first_line + number}"
        labels.rejects.append(Reject(fault.reason, where, fault.frame, None, 0, fault.detail))
    if block.lines != block.blank_lines + len(block.faults) + len(block.counts):
        raise AssertionError(
            f"{path}: {block.lines} lines, but {block.blank_lines} blank, {len(block.faults)} rejected and "
            f"{len(block.counts)} labelling ones"
        )
    if len(block.counts):
        labels.blocks.append(located)


def label_where(labels: Labels, file: int, line: int) -> str:
    """A line as rejects name it."""
    return f"{labels.files[file].path}:{line}"


def split_bits(files: list[LabelFile], bits: int) -> dict[str, list[str]]:
    """The splits of each protocol that the label files in ``bits`` stand for; every protocol is there."""
    splits: dict[str, list[str]] = {file.protocol: [] for file in files}
    for number, file in enumerate(files):
        if bits >> number & 1:
            splits[file.protocol].append(file.split)
    return {protocol: sorted(names) for protocol, names in splits.items()}


def missing_splits(files: list[LabelFile]) -> list[str]:
    """A sentence for each split that a protocol has no label file of."""
    found = {(file.protocol, file.split) for file in files}
    protocols = dict.fromkeys(file.protocol for file in files)
    return [
        f"{split}_part{protocol[1:]}.txt is missing: protocol {protocol} has no {split} split"
        for protocol in protocols
        for split in SPLITS
        if (protocol, split) not in found
    ]


def empty_splits(files: list[LabelFile], protocols: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """A sentence for each label file that no frame of the catalog comes from: cut off, or not in the usual form.

    Args:
        files: that were read.
        protocols: protocol to split to its cells.
    """
    return [
        f"{file.path} ({file.size:,} bytes): no frame that it labels can be converted: the {file.split} split of "
        f"protocol {file.protocol} is empty"
        for file in files
        if not protocols[file.protocol][file.split]
    ]
