"""Text files of a source: checked for what they are not, and read in blocks of whole lines with bounded memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.archives.sniff import HEAD_BYTES, foreign_to_text
from shards_spec.errors import UsageError
from shards_spec.storage import Store

BLOCK_SIZE = 16 << 20
"""Bytes of a file that are read at a time."""

LINE_LIMIT = 1 << 20
"""Bytes of the longest line; a line of labels has some hundred."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnreadableBlockError(Exception):
    """A block holds what no text file of a source can hold; the message says what.

    Attributes:
        line: The number of the line that shows this, counted from 0 at the block's first line.
    """

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def check_text(store: Store, path: str, size: int, what: str) -> bool:
    """Look at the beginning of a file; return whether it has a byte order mark.

    Args:
        store: The store with the file.
        path: The file.
        size: Its size in bytes.
        what: What messages call it: "label file".

    Raises:
        UsageError: The file is in another encoding than UTF-8, or no text.
    """
    head = store.read(path, 0, min(size, HEAD_BYTES))
    foreign = foreign_to_text(head, path)
    if foreign is not None:
        raise UsageError(f"{store.url}/{path} is no {what}: {foreign}")
    return head.startswith(_BYTE_ORDER_MARK)


def read_blocks(store: Store, path: str, size: int, digest: Any) -> Iterator[bytes]:
    """Yield whole lines of a file, block by block, without the byte order mark; update ``digest`` with all bytes.

    Every line has an end, even if the file's last one lacks it. An endless line is cut off as soon as it is known to be
    too long, so that memory stays bounded.
    """
    held = b""
    for start in range(0, size, BLOCK_SIZE):
        piece = store.read(path, start, min(start + BLOCK_SIZE, size))
        digest.update(piece)
        block = held + (piece.removeprefix(_BYTE_ORDER_MARK) if start == 0 else piece)
        end = _last_line_end(block)
        if end:
            yield block[:end]
        held = block[end:]
        if len(held) > LINE_LIMIT + 1:
            held = held[: LINE_LIMIT + 1]
            break
    if held:
        yield held + b"\n"


def ends_with_a_line(store: Store, path: str, size: int) -> bool:
    """Return whether the last line of a file has an end."""
    return store.read(path, size - 1, size) in {b"\n", b"\r"}


def plain_lines(block: bytes) -> tuple[bytes, int]:
    """Return a block with LF at the end of each line, and the number of lines that ended with CR LF or CR.

    Raises:
        UnreadableBlockError: The block holds a NUL, which may stand for any number of lost lines.
    """
    carriage_returns = block.count(b"\r")
    if carriage_returns:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    nul = block.find(b"\0")
    if nul >= 0:
        raise UnreadableBlockError(
            block.count(b"\n", 0, nul), "holds a NUL, as a download that broke off leaves them: download the file again"
        )
    return block, carriage_returns


def check_line_lengths(ends: npt.NDArray[np.int64]) -> None:
    """Raise ``UnreadableBlockError`` if a line of a block is longer than ``LINE_LIMIT``, given where its lines end."""
    longest = np.flatnonzero(np.diff(ends, prepend=-1) - 1 > LINE_LIMIT)
    if longest.size:
        raise UnreadableBlockError(
            int(longest[0]), f"is longer than {LINE_LIMIT:,} bytes: line ends seem to be missing"
        )


def _last_line_end(block: bytes) -> int:
    """Return where the last whole line ends. A CR at the block's end does not count, because an LF may follow it."""
    end = block.rfind(b"\n") + 1
    return block.rfind(b"\r", end, len(block) - 1) + 1 or end
