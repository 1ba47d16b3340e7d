"""Exact parsing of one label line, for lines that do not have the regular shape, and for saying why.

A line is a frame's file name, followed by one or more members of six values each: person id, four box numbers, and
depth. Spaces and tabs separate fields, and commas separate the values of a member.
"""

import re
from dataclasses import dataclass

from pipeline.sources.city1m.labels.names import LARGEST_PERSON_ID, frame_stem
from shards_spec.errors import SpecError
from shards_spec.rejects import RejectReason
from shards_spec.variants.city1m import make_key

VALUES_A_MEMBER = 6
"""A person id, four box numbers, and a depth."""

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
    """One tuple for each member: the four box numbers and the depth as in the file, which may be NaN or infinite."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """Why a label line is lost."""

    reason: RejectReason
    frame: str | None
    detail: str


def parse_line(line: bytes) -> Line | LineFault:
    """Parse a line.

    Args:
        line: The line without its end; it must not be blank.
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
    """Return the person id and the other five values, or what is wrong."""
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
    """Return bytes as printable ASCII, quoted and shortened."""
    # Latin-1 decodes any byte; what is not printable ASCII is escaped afterwards.
    shown = text[:_SHOWN].decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"'{shown}'" if len(text) <= _SHOWN else f"'{shown}'... ({len(text)} bytes)"
