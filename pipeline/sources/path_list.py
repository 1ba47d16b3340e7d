"""Lists of images: text files with a path on each line, read into columns."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives.table import decode_paths, split_paths
from pipeline.sources.matching import Paths
from pipeline.sources.text import UnreadableBlockError, check_line_lengths, check_text, plain_lines, read_blocks
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.storage import FileInfo, Store

_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class PathList:
    """What is known of a list beside its paths, which take hundreds of megabytes and are soon done with."""

    source: SourceFile
    count: int
    """Number of paths."""
    blank_lines: npt.NDArray[np.int64]
    """Numbers of the blank lines, counted from 1."""
    has_byte_order_mark: bool
    carriage_returns: int
    """Number of lines that end with CR LF or CR."""

    @property
    def lines(self) -> int:
        """Return the number of all lines."""
        return self.count + len(self.blank_lines)

    def where(self, row: int) -> str:
        """Return the place of a path, given its position among the list's, in the form that rejects use."""
        lines_before = self.blank_lines - np.arange(len(self.blank_lines))  # paths up to each blank line, and 1
        return f"{self.source.file}:{row + 1 + int(np.searchsorted(lines_before, row + 1, side='right'))}"


def read_path_list(store: Store, file: FileInfo) -> tuple[PathList, Paths]:
    """Read a list.

    Args:
        store: The store with the list.
        file: The list.

    Returns:
        What is known of the list, and its paths as spelled, but without ``./`` before them and whatever follows the
        first space or tab.

    Raises:
        UsageError: It is not UTF-8 text, or is damaged so that any number of lines may be lost.
    """
    has_mark = check_text(store, file.path, file.size, "list of images")
    digest = hashlib.sha256()
    folders, names, blanks = [], [], [np.empty(0, np.int64)]
    lines = returns = 0
    try:
        for raw in read_blocks(store, file.path, file.size, digest):
            block, found = plain_lines(raw)
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE)
            check_line_lengths(ends)
            texts = _first_columns(block, ends)
            is_blank = pc.equal(pc.binary_length(texts), 0)
            blanks.append(np.flatnonzero(is_blank.to_numpy(zero_copy_only=False)) + lines + 1)
            of_block, names_of_block = split_paths(texts.filter(pc.invert(is_blank)))
            folders.append(of_block.dictionary_encode())
            names.append(names_of_block)
            lines += len(ends)
            returns += found
    except UnreadableBlockError as error:
        raise UsageError(f"{store.url}/{file.path}: line {lines + error.line + 1} {error}") from error
    paths = Paths(_join(folders, pa.dictionary(pa.int32(), pa.large_string())), _join(names, pa.large_string()))
    source = SourceFile(file.path, file.size, digest.hexdigest())
    return PathList(source, len(paths), np.concatenate(blanks), has_mark, returns), paths


def _first_columns(block: bytes, ends: npt.NDArray[np.int64]) -> pa.Array:
    """Return the path on each line of a block; an empty string where the line is blank."""
    offsets = np.concatenate([[0], ends + 1])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block)]
    lines = decode_paths(pa.Array.from_buffers(pa.large_binary(), len(ends), buffers))
    trimmed = pc.utf8_trim(lines, " \t\n")
    if b" " in block or b"\t" in block:
        trimmed = pc.replace_substring_regex(trimmed, r"[ \t].*", "")
    return pc.replace_substring_regex(trimmed, r"^(?:\./)+", "") if b"./" in block else trimmed


def _join(arrays: list[pa.Array], type_: pa.DataType) -> pa.Array:
    chunked = pa.chunked_array(arrays, type_)
    if pa.types.is_dictionary(type_):
        chunked = chunked.unify_dictionaries()
    combined = chunked.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined
