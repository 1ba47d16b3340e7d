"""Label lines as columns: NumPy splits blocks of whole lines into tokens, and Arrow reads the numbers.

Lines of the regular shape never become Python objects; all other lines go to ``parse_line`` one by one.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.city1m.labels.lines import VALUES_A_MEMBER, Line, LineFault, parse_line
from pipeline.sources.city1m.labels.names import FRAME_EXTENSION, LARGEST_PERSON_ID, SURE_STEM, are_frame_files
from pipeline.sources.city1m.labels.ragged import list_starts, value_positions
from pipeline.sources.text import UnreadableBlockError, check_line_lengths, plain_lines
from shards_spec.rejects import NOTE_EXAMPLES

FAULT_LIMIT = 100_000
"""Most unreadable lines in a block, as each takes some memory; a block of usual lines has fewer lines in all."""

_NEWLINE, _TAB, _SPACE, _COMMA, _ZERO = b"\n\t ,0"
_LONGEST_PERSON_ID = len(str(LARGEST_PERSON_ID))
_FEW = 16
"""Number of tokens below which the search for one that is not a number ends; their lines are parsed one by one."""

_Bools = npt.NDArray[np.bool_]
_Bytes = npt.NDArray[np.uint8]
_Int32 = npt.NDArray[np.int32]
_Int64 = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Adjacent lines of a label file. Rows are the lines that label frames; the members of a row are sorted by id."""

    lines: int
    """Number of all lines, including blank and rejected ones."""
    blank_lines: int
    """Number of lines with nothing on them."""
    first_blank_lines: list[int]
    """The first few of them, counted from 0 at the block's first line."""
    carriage_returns: int
    """Number of lines that end with CR LF or CR."""
    names: pa.Array
    """File names of the frames (binary), ``[rows]``."""
    line_numbers: _Int64
    """Ascending line numbers, ``[rows]``, counted from 0 at the block's first line."""
    counts: _Int32
    """Number of members in each line, ``[rows]``."""
    person_ids: _Int32
    """Person ids, ``[members]``."""
    values: _Doubles
    """The four box numbers and the depth as in the file, ``[members, 5]``; they may be NaN or infinite."""
    faults: list[tuple[int, LineFault]]
    """Line number and fault of each line that is lost."""


class _Tokens(NamedTuple):
    """The tokens of a block, which are what lies between separators."""

    newlines: _Int64
    """Position of each line's end, ``[lines]``."""
    first: _Int64
    """Each line's first token, ``[lines]``; for a line without tokens, that of the next line that has some."""
    counts: _Int64
    """Number of tokens in each line, ``[lines]``."""
    starts: _Int64
    """Position of each token's first byte, ``[tokens]``."""
    after: _Bytes
    """The byte after each token, ``[tokens]``."""
    offsets: _Int32
    """Where each token begins in ``packed``, and where the last one ends, ``[tokens + 1]``."""
    packed: _Bytes
    """The tokens' bytes without the separators."""
    stray_commas: _Int64
    """Positions of commas that are not between two tokens."""


class _Rows(NamedTuple):
    """Lines in ascending order, with their members."""

    names: pa.Array
    line_numbers: _Int64
    counts: _Int32
    person_ids: _Int32
    values: _Doubles


def parse_block(block: bytes) -> LineBlock:
    """Parse the label lines in ``block``.

    Args:
        block: Whole lines, each with its line ending (LF, CR LF or CR).

    Raises:
        UnreadableBlockError: The block holds a NUL, a line longer than ``LINE_LIMIT``, or more than ``FAULT_LIMIT``
            lines that cannot be read. Each of these may hide many lines or take much memory, so it is worse than a lost
            line.
    """
    block, carriage_returns = plain_lines(block)
    data = np.frombuffer(block, np.uint8)
    tokens = _tokenise(data)
    check_line_lengths(tokens.newlines)
    is_regular = _have_regular_shape(tokens)
    rows = _read_regular(data, tokens, is_regular)
    is_blank = tokens.counts == 0
    is_blank[np.searchsorted(tokens.newlines, tokens.stray_commas)] = False
    others = np.flatnonzero(~is_regular & ~is_blank)
    faults = []
    if others.size:
        good: list[tuple[int, Line]] = []
        for number in others.tolist():
            start = int(tokens.newlines[number - 1]) + 1 if number else 0
            parsed = parse_line(block[start : int(tokens.newlines[number])])
            if isinstance(parsed, Line):
                good.append((number, parsed))
                continue
            faults.append((number, parsed))
            if len(faults) > FAULT_LIMIT:
                what = f"is one of more than {FAULT_LIMIT:,} near each other that cannot be read: {parsed.detail}"
                raise UnreadableBlockError(number, what)
        rows = _insert(rows, good)
    rows = _sort_members(rows)
    first_blanks = np.flatnonzero(is_blank)[:NOTE_EXAMPLES].tolist()
    return LineBlock(len(tokens.newlines), int(is_blank.sum()), first_blanks, carriage_returns, *rows, faults)


def _tokenise(data: _Bytes) -> _Tokens:
    is_newline = data == _NEWLINE
    is_comma = data == _COMMA
    is_separator = (data == _SPACE) | (data == _TAB)
    is_separator |= is_comma
    is_separator |= is_newline
    stray = is_comma.copy()
    stray[1:] &= is_separator[:-1] | np.append(is_separator[2:], True)
    edges = np.flatnonzero(is_separator[1:] != is_separator[:-1]) + 1
    if len(data) and not is_separator[0]:
        edges = np.concatenate([[0], edges])
    starts, ends = edges[0::2], edges[1::2]  # a block ends with a newline, so every token has an end
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    newlines = np.flatnonzero(is_newline)
    bounds = np.concatenate([[0], np.searchsorted(starts, newlines)])
    return _Tokens(
        newlines=newlines,
        first=bounds[:-1],
        counts=np.diff(bounds),
        starts=starts,
        after=data[ends],
        offsets=offsets,
        packed=data[~is_separator],
        stray_commas=np.flatnonzero(stray),
    )


def _have_regular_shape(tokens: _Tokens) -> _Bools:
    """Return which lines are a name and six tokens for each member, with commas in the right places, ``[lines]``."""
    is_regular: _Bools = (tokens.counts > VALUES_A_MEMBER) & (tokens.counts % VALUES_A_MEMBER == 1)
    is_regular[np.searchsorted(tokens.newlines, tokens.stray_commas)] = False
    # A comma follows every token except the name and the last one of each member, which are tokens 0, 6, 12, ...
    places = np.arange(len(tokens.starts), dtype=np.int32) - np.repeat(tokens.first.astype(np.int32), tokens.counts)
    misplaced = np.flatnonzero((tokens.after == _COMMA) == (places % VALUES_A_MEMBER == 0))
    is_regular[np.searchsorted(tokens.newlines, tokens.starts[misplaced])] = False
    return is_regular


def _read_regular(data: _Bytes, tokens: _Tokens, is_regular: _Bools) -> _Rows:
    """Return the regular lines as rows; clear ``is_regular`` for lines whose tokens turn out not to be valid."""
    names = _tokens_array(tokens, pa.binary(), None).take(tokens.first[is_regular])
    sure = pc.and_(
        are_frame_files(names), pc.less_equal(pc.binary_length(names), SURE_STEM + len(FRAME_EXTENSION))
    ).to_numpy(zero_copy_only=False)
    if not sure.all():
        names = names.filter(pa.array(sure))
        is_regular[np.flatnonzero(is_regular)[~sure]] = False
    is_number = _number_tokens(tokens, is_regular)
    numbers = _read_numbers(_tokens_array(tokens, pa.string(), is_number))

    id_tokens = np.flatnonzero(is_number)[::VALUES_A_MEMBER]
    person_ids, is_good = _read_person_ids(data, tokens, id_tokens)
    members = numbers[is_number].reshape(-1, VALUES_A_MEMBER)
    is_good &= np.isfinite(members).all(axis=1)
    if not is_good.all():
        lines = np.repeat(np.flatnonzero(is_regular), tokens.counts[is_regular] // VALUES_A_MEMBER)
        was_regular = is_regular.copy()
        is_regular[lines[~is_good]] = False
        names = names.filter(pa.array(is_regular[was_regular]))
        kept = is_regular[lines]
        person_ids, members = person_ids[kept], members[kept]
    return _Rows(
        names,
        np.flatnonzero(is_regular),
        (tokens.counts[is_regular] // VALUES_A_MEMBER).astype(np.int32),
        person_ids.astype(np.int32),
        members[:, 1:].copy(),
    )


def _number_tokens(tokens: _Tokens, is_regular: _Bools) -> _Bools:
    """Return which tokens are values of members of regular lines, ``[tokens]``."""
    is_number: _Bools = np.repeat(is_regular, tokens.counts)
    is_number[tokens.first[is_regular]] = False
    return is_number


def _tokens_array(tokens: _Tokens, kind: Any, is_valid: _Bools | None) -> Any:
    """Return the tokens as an Arrow array that shares their memory; it is null where ``is_valid`` is false."""
    validity = None if is_valid is None else pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    buffers = [validity, pa.py_buffer(tokens.offsets), pa.py_buffer(tokens.packed)]
    return pa.Array.from_buffers(kind, len(tokens.starts), buffers)


def _read_numbers(texts: Any) -> _Doubles:
    """Read strings as numbers: the nearest double, or NaN for a string that is, or is near, one that may be no number.

    A null gives an arbitrary value.
    """
    try:
        numbers: _Doubles = pc.cast(texts, pa.float64()).fill_null(0.0).to_numpy()
    except pa.ArrowInvalid:
        if len(texts) <= _FEW:
            return np.full(len(texts), np.nan)
        middle = len(texts) // 2
        return np.concatenate([_read_numbers(texts[:middle]), _read_numbers(texts[middle:])])
    return numbers


def _read_person_ids(data: _Bytes, tokens: _Tokens, id_tokens: _Int64) -> tuple[_Int64, _Bools]:
    """Return the person ids in ``id_tokens``, and which of them are integers in range."""
    starts = tokens.starts[id_tokens]
    lengths = tokens.offsets[id_tokens + 1] - tokens.offsets[id_tokens]
    is_good = lengths <= _LONGEST_PERSON_ID
    person_ids = np.zeros(len(id_tokens), np.int64)
    for place in range(min(int(lengths.max(initial=0)), _LONGEST_PERSON_ID)):
        inside = np.flatnonzero(lengths > place)
        digits = data[starts[inside] + place] - np.uint8(_ZERO)  # bytes below "0" wrap around to values above 9
        is_good[inside] &= digits <= 9
        person_ids[inside] = person_ids[inside] * 10 + digits
    is_good &= person_ids <= LARGEST_PERSON_ID
    return person_ids, is_good


def _insert(rows: _Rows, lines: list[tuple[int, Line]]) -> _Rows:
    """Insert lines that were parsed one by one among the others, in order of line number."""
    if not lines:
        return rows
    numbers = np.array([number for number, _ in lines], np.int64)
    joined = _Rows(
        pa.concat_arrays([rows.names, pa.array([line.name for _, line in lines], pa.binary())]),
        np.concatenate([rows.line_numbers, numbers]),
        np.concatenate([rows.counts, np.array([len(line.person_ids) for _, line in lines], np.int32)]),
        np.concatenate([rows.person_ids, np.array([i for _, line in lines for i in line.person_ids], np.int32)]),
        np.concatenate([rows.values, np.array([v for _, line in lines for v in line.values], np.float64)]),
    )
    order = np.argsort(joined.line_numbers, kind="stable")
    members = value_positions(list_starts(joined.counts)[order], joined.counts[order])
    return _Rows(
        joined.names.take(pa.array(order)),
        joined.line_numbers[order],
        joined.counts[order],
        joined.person_ids[members],
        joined.values[members],
    )


def _sort_members(rows: _Rows) -> _Rows:
    """Sort each line's members by id, then by their values, because their order on a line means nothing."""
    row_of_member = np.repeat(np.arange(len(rows.counts)), rows.counts)
    keys = row_of_member << 32 | rows.person_ids
    unsorted = np.flatnonzero(keys[1:] <= keys[:-1])
    if not unsorted.size:
        return rows
    order = np.argsort(keys, kind="stable")
    repeated = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if repeated.size:
        columns = rows.values.T[::-1]
        order = np.lexsort([*columns, keys])
    return rows._replace(person_ids=rows.person_ids[order], values=rows.values[order])
