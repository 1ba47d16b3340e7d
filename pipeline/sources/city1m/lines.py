"""One label line, taken apart exactly: for the lines that do not fit the regular shape, and for saying why.

A line is a frame's file name, then a member or more of six values each: person id, four box numbers, depth. Spaces and
tabs stand between fields, commas inside a member.
"""

import re
from dataclasses import dataclass

from pipeline.sources.city1m.names import LARGEST_PERSON_ID, frame_stem
from shards_spec.errors import SpecError
from shards_spec.rejects import RejectReason
from shards_spec.sidecar import make_key

VALUES_A_MEMBER = 6
"""Person id, four box numbers, depth."""

_SHOWN = 120
"""Characters of a line that a reject shows."""

_SEPARATORS = re.compile(rb"[ \t]+")
_PERSON_ID = re.compile(rb"[0-9]{1,10}")
_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """A label line that says something about a frame."""

    name: bytes
    """The frame's file name."""
    person_ids: list[int]
    values: list[tuple[float, ...]]
    """A tuple a member: four box numbers and the depth, as they stand there; they may be NaN or infinite."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """Why a label line is lost."""

    reason: RejectReason
    frame: str | None
    detail: str


def parse_line(line: bytes) -> Line | LineFault:
    """Take a line apart.

    Args:
        line: Without its end and not blank.
    """
    name, *members = _SEPARATORS.split(line.strip(b" \t"))
    stem = frame_stem(name)
    if not members:
        return LineFault(RejectReason.LINE_FIELDS, stem, f"no member in {_show(line)}")
    person_ids = []
    values = []
    for member in members:
        parsed = _parse_member(member)
        if isinstance(parsed, str):
            return LineFault(RejectReason.LINE_FIELDS, stem, parsed)
        person_ids.append(parsed[0])
        values.append(parsed[1])
    if stem is None:
        return LineFault(RejectReason.LINE_NAME, None, f"{_show(name)} is no frame's name, or too long a one")
    try:
        make_key(stem, max(person_ids))
    except SpecError as error:
        return LineFault(RejectReason.LINE_NAME, stem, str(error))
    return Line(name, person_ids, values)


def _parse_member(member: bytes) -> tuple[int, tuple[float, ...]] | str:
    """Person id and the five other values, or what is wrong."""
    person_id, *numbers = member.split(b",")
    if len(numbers) != VALUES_A_MEMBER - 1:
        return f"{len(numbers) + 1} values instead of {VALUES_A_MEMBER} in {_show(member)}"
    if not _PERSON_ID.fullmatch(person_id) or int(person_id) > LARGEST_PERSON_ID:
        return f"person id {_show(person_id)} is no integer from 0 to {LARGEST_PERSON_ID}, in {_show(member)}"
    for number in numbers:
        if not _NUMBER.fullmatch(number):
            return f"{_show(number)} is no number, in {_show(member)}"
    return int(person_id), tuple(map(float, numbers))


def _show(text: bytes) -> str:
    """Bytes as printable ASCII, quoted, shortened."""
    # Latin-1 takes any byte; what is not printable ASCII is escaped then.
    shown = text[:_SHOWN].decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"'{shown}'" if len(text) <= _SHOWN else f"'{shown}'... ({len(text)} bytes)"
