"""City1M's label files: finding them, reading them block by block, and parsing the blocks in parallel."""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.samples import Notes
from pipeline.sources.city1m.labels.columns import LineBlock, parse_block
from pipeline.sources.city1m.labels.file_names import LABEL_FILE, NEARLY_LABEL_FILE, NO_LABEL_FILE
from pipeline.sources.misplaced import point_to, refuse_special
from pipeline.sources.text import UnreadableBlockError, check_text, ends_with_a_line, read_blocks
from shards_spec.cores import usable_cores
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Note, Reject
from shards_spec.storage import Store
from shards_spec.variants.city1m.names import SPLITS

LARGEST_FILE_COUNT = 63
"""Most label files, because a frame's splits are 64 bits with one bit for each file."""

REJECT_LIMIT = 1_000_000
"""Most label lines that may be unreadable, as each takes some memory: half as many as City1M has frames."""

_MOST_THREADS = 4
"""Most threads that parse; each of them needs memory for a block and ten times its size."""


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
    """Adjacent lines of a label file, and where they lie."""

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
    """Blocks in the order of the files and their lines."""
    lines: int = 0
    blank_lines: int = 0
    rejects: list[Reject] = field(default_factory=list)
    """One reject for each line that is lost."""
    notes: Notes = field(default_factory=Notes)
    gaps: list[str] = field(default_factory=list)
    """A sentence for each file that seems to be cut off."""


def find_label_files(store: Store) -> list[LabelFile]:
    """Return the label files at the top of ``store``, sorted by protocol, then split.

    Raises:
        UsageError: There is none, there are more than ``LARGEST_FILE_COUNT``, or one is not a file.
    """
    found = []
    for info in store.list_top():
        match = LABEL_FILE.fullmatch(info.path)
        if match is not None:
            refuse_special(store, info)
            found.append((int(match[2]), LabelFile(info.path, f"p{match[2]}", match[1], info.size)))
    if not found:
        raise UsageError(
            f"{store.url}: {NO_LABEL_FILE}"
            + (
                point_to(store, NEARLY_LABEL_FILE, "name that folder as SRC, or with --labels")
                or ": name their folder with --labels"
            )
        )
    if len(found) > LARGEST_FILE_COUNT:
        raise UsageError(f"{store.url}: {len(found)} label files, but at most {LARGEST_FILE_COUNT} are taken")
    return [file for _, file in sorted(found, key=lambda item: (item[0], item[1].protocol, item[1].split))]


def read_labels(store: Store, progress: Callable[[str], None] | None = None) -> Labels:
    """Read and parse the label files at the top of ``store``.

    Raises:
        UsageError: There is none, or there are too many; or one of them is not UTF-8 text, is damaged so that any
            number of lines may be lost, or has lines of which none can be read.
    """
    labels = Labels(find_label_files(store))
    threads = min(usable_cores(), _MOST_THREADS)
    with ThreadPoolExecutor(threads, thread_name_prefix="labels") as pool:
        for number, file in enumerate(labels.files):
            lines = _read_file(store, number, labels, pool, threads + 1)
            if progress is not None:
                progress(f"{file.path}: {lines:,} lines")
    return labels


def _read_file(store: Store, number: int, labels: Labels, pool: ThreadPoolExecutor, ahead: int) -> int:
    """Add what a label file says to ``labels``; return how many lines it has."""
    file = labels.files[number]
    if check_text(store, file.path, file.size, "label file"):
        labels.notes.add(Note.BYTE_ORDER_MARK, file.path)
    digest = hashlib.sha256()
    lines = read = 0
    faults_before = len(labels.rejects)
    try:
        for block in _parse_all(pool, read_blocks(store, file.path, file.size, digest), ahead):
            _add(labels, FileBlock(number, lines + 1, block))
            lines += block.lines
            read += len(block.counts)
    except UnreadableBlockError as error:
        raise UsageError(f"{store.url}/{file.path}: line {lines + error.line + 1} {error}") from error
    faults = labels.rejects[faults_before:]
    if faults and not read:
        raise UsageError(
            f"{store.url}/{file.path}: none of its {lines:,} lines can be read, such as {faults[0].where}: "
            f"{faults[0].detail}: get the file again, or leave it out"
        )
    is_last_line_lost = faults and faults[-1].where == label_where(labels, number, lines)
    if is_last_line_lost and not ends_with_a_line(store, file.path, file.size):
        labels.gaps.append(f"{file.path} ends inside line {lines:,}: it seems to be cut off; get the file again")
    labels.sources.append(SourceFile(file.path, file.size, digest.hexdigest()))
    return lines


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
    wheres = [f"{path}:{located.first_line + number}" for number in block.first_blank_lines]
    labels.notes.add_all(Note.BLANK_LINE, block.blank_lines, wheres)
    labels.notes.add_all(Note.CARRIAGE_RETURN, block.carriage_returns, [path])
    if len(labels.rejects) + len(block.faults) > REJECT_LIMIT:
        raise UnreadableBlockError(
            block.faults[0][0],
            f"is one of more than {REJECT_LIMIT:,} that cannot be read: {block.faults[0][1].detail}",
        )
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
    """Return a line's place in the form that rejects use."""
    return f"{labels.files[file].path}:{line}"


def split_bits(files: list[LabelFile], bits: int) -> dict[str, list[str]]:
    """Return the sorted splits, by protocol, that the label files in ``bits`` stand for; every protocol is present."""
    splits: dict[str, list[str]] = {file.protocol: [] for file in files}
    for number, file in enumerate(files):
        if bits >> number & 1:
            splits[file.protocol].append(file.split)
    return {protocol: sorted(names) for protocol, names in sorted(splits.items())}


def missing_splits(store: Store, files: list[LabelFile]) -> list[str]:
    """Return a sentence for each split of which a protocol has no label file, though it has others."""
    found = {(file.protocol, file.split) for file in files}
    protocols = dict.fromkeys(file.protocol for file in files)
    return [
        f"{split}_part{protocol[1:]}.txt is missing: protocol {protocol} has no {split} split"
        + point_to(store, re.compile(rf"(?i){split}[ _-]?part[ _-]?{protocol[1:]}(?![0-9]).*"), "move it to the others")
        for protocol in protocols
        for split in SPLITS
        if (protocol, split) not in found
    ]


def empty_splits(files: list[LabelFile], protocols: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """Return a sentence for each label file that is empty, or all of whose frames are lost.

    Args:
        files: The label files that were read.
        protocols: The cells of each split of each protocol.
    """
    return [
        f"{file.path} ({file.size:,} bytes): no frame that it labels can be converted: the {file.split} split of "
        f"protocol {file.protocol} is empty"
        for file in files
        if not protocols[file.protocol][file.split]
    ]
