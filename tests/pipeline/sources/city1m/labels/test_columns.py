import io
import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sources.city1m.labels import columns
from pipeline.sources.city1m.labels.columns import LineBlock, parse_block
from pipeline.sources.city1m.labels.lines import Line, LineFault, parse_line
from pipeline.sources.text import LINE_LIMIT, UnreadableBlockError
from shards_spec.rejects import RejectReason

Member = tuple[int, tuple[float, ...]]
STEM = "0009501_pCount2_cam1_0000001_day"
NAME = re.compile(r"\d+_pCount\d{1,9}_cam\d{1,9}_\d+_(?:day|night)\.jpg", re.ASCII)


def rows_of(block: LineBlock) -> list[tuple[int, bytes, list[Member]]]:
    """Line number, name and members of each line that labels a frame."""
    rows = []
    start = 0
    for name, number, count in zip(block.names.to_pylist(), block.line_numbers, block.counts, strict=True):
        people = range(start, start + count)
        members = [(int(block.person_ids[i]), tuple(block.values[i].tolist())) for i in people]
        rows.append((int(number), name, members))
        start += count
    assert start == len(block.person_ids) == len(block.values)
    return rows


def sort_members(members: list[Member]) -> list[Member]:
    """By id, then value; NaN last, as NumPy sorts."""
    return sorted(
        members, key=lambda member: (member[0], [(math.isnan(v), 0 if math.isnan(v) else v) for v in member[1]])
    )


def same(ours: object, theirs: object) -> bool:
    """Equality under which NaN is NaN, and 0.0 is -0.0 to comparison but not to the eye."""
    return repr(ours) == repr(theirs)


def write_naively(name: str, members: list[tuple[str, ...]], gaps: list[str], before: str, after: str) -> str:
    line = before + name
    for number, member in enumerate(members):
        line += gaps[number % len(gaps)] + ",".join(member)
    return line + after


def parse_naively(line: str) -> tuple[str, list[Member]] | None:
    name, *fields = line.split()
    members = []
    for field in fields:
        person_id, *numbers = field.split(",")
        if not (person_id.isdecimal() and int(person_id) < 2**31) or len(numbers) != 5:
            return None
        try:
            members.append((int(person_id), tuple(float(number) for number in numbers)))
        except ValueError:
            return None
    return (name, members) if members and NAME.fullmatch(name) else None


names = st.builds(
    "{}_pCount{}_cam{}_{}_{}.jpg".format,
    st.text("0123456789", min_size=1, max_size=20),
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**6),
    st.sampled_from(["day", "night", "day", "dusk"]),
)
numbers = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.floats(0, 2000).map("{:.4f}".format),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["nan", "-inf", "Infinity", "+1.5", "1e999", ".5", "5.", "-0"]),
)
odd_numbers = st.text("0123456789.+-eEx", max_size=6)
person_ids = st.one_of(st.integers(0, 9).map(str), st.integers(0, 2**32).map(str), st.sampled_from(["0.5", "-1", "07"]))
members = st.one_of(
    st.tuples(person_ids, *[numbers] * 5),
    st.tuples(st.integers(0, 3).map(str), *[st.floats(0, 2000).map("{:.3f}".format)] * 5),
    st.lists(st.one_of(numbers, odd_numbers), max_size=8).map(tuple),
)
white_space = st.text(" \t", max_size=3)
lines = st.one_of(
    st.builds(
        write_naively,
        names,
        st.lists(members, max_size=6),
        st.lists(st.text(" \t", min_size=1, max_size=3), min_size=1, max_size=3),
        white_space,
        white_space,
    ),
    white_space,
)


@settings(deadline=None)
@given(st.lists(st.tuples(lines, st.sampled_from(["\n", "\r\n", "\r"])), max_size=12))
@example([(f"{STEM}.jpg 1,1,2,3,4,5 0,1,2,3,4,5", "\n"), ("", "\r\n"), (f"{STEM}.jpg 0,1,2,3,4,nan", "\r\n")])
@example([("", "\n")])
@example([])
def test_lines_are_read_as_a_naive_parser_reads_them(written: list[tuple[str, str]]) -> None:
    text = "".join(line + end for line, end in written)
    block = parse_block(text.encode())
    apart = list(io.StringIO(text, newline=None))  # CR and LF of two lines may have become the end of one
    expected = [
        (number, parsed[0].encode(), sort_members(parsed[1]))
        for number, line in enumerate(apart)
        if line.strip() and (parsed := parse_naively(line)) is not None
    ]
    assert same(rows_of(block), expected)
    assert block.lines == len(apart)
    assert block.blank_lines == sum(not line.strip() for line in apart)
    assert block.carriage_returns == text.count("\r")
    assert len(block.faults) == block.lines - block.blank_lines - len(expected)


pieces = st.one_of(
    st.binary(max_size=6).map(lambda data: data.replace(b"\0", b"0")),
    st.sampled_from(
        [b" ", b",", b"\n", b"\r", b"\t", b"\xff", b"0,1,2,3,4,5", b" 1,1,2,3,4,5", f"{STEM}.jpg ".encode()]
    ),
)


@settings(deadline=None)
@given(st.lists(pieces, max_size=40))
def test_any_bytes_are_read_as_line_by_line(drawn: list[bytes]) -> None:
    text = b"".join(drawn) + b"\n"
    block = parse_block(text)
    good, faults, blank = [], [], 0
    apart = re.sub(rb"\r\n?", b"\n", text).removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(apart):
        if not line.strip(b" \t"):
            blank += 1
            continue
        parsed = parse_line(line)
        if isinstance(parsed, Line):
            good.append((number, parsed.name, sort_members(list(zip(parsed.person_ids, parsed.values, strict=True)))))
        else:
            faults.append((number, parsed))
    assert same(rows_of(block), good)
    assert block.faults == faults
    assert block.blank_lines == blank
    assert block.lines == len(apart)


def test_types_are_what_the_catalog_needs() -> None:
    block = parse_block(f"{STEM}.jpg 0,1,2,3,4,5\n".encode())
    assert block.counts.dtype == block.person_ids.dtype == np.int32
    assert block.values.dtype == np.float64
    assert block.values.shape == (1, 5)
    assert block.values.flags.c_contiguous


def test_one_odd_number_among_many_costs_one_line() -> None:
    regular = [f"{STEM}.jpg 0,1,2,3,4,{number}" for number in range(2000)]
    regular[1234] = f"{STEM}.jpg 0,1,2,3,4,5x"
    regular[1235] = f"{STEM}.jpg 0,1,2,3,4,+5"
    block = parse_block("".join(f"{line}\n" for line in regular).encode())
    assert [number for number, _ in block.faults] == [1234]
    assert [row[2][0][1][4] for row in rows_of(block)] == [
        5.0 if number == 1235 else float(number) for number in range(2000) if number != 1234
    ]


def test_members_stand_by_id_whatever_their_order_on_the_line() -> None:
    block = parse_block(f"{STEM}.jpg 2,2,2,2,2,2 0,0,0,0,0,0 1,1,1,1,1,1\n{STEM}.jpg 5,1,1,1,1,1\n".encode())
    assert block.person_ids.tolist() == [0, 1, 2, 5]
    assert block.values[:, 0].tolist() == [0, 1, 2, 1]


def test_members_with_one_id_stand_by_value() -> None:
    one, other = (f"{STEM}.jpg {order}\n".encode() for order in ("0,1,2,3,4,5 0,1,2,3,4,4", "0,1,2,3,4,4 0,1,2,3,4,5"))
    assert same(rows_of(parse_block(one)), rows_of(parse_block(other)))


def test_a_line_that_may_stand_for_many_is_no_line_of_a_label_file() -> None:
    line = f"{STEM}.jpg 0,1,2,3,4,5"
    assert len(parse_block(f"{line.ljust(LINE_LIMIT)}\n{line}\n".encode()).counts) == 2
    for text, number, what in (
        (f"\n{line}\n{line.ljust(LINE_LIMIT + 1)}\n{line}\n", 2, "is longer than 1,048,576 bytes: line ends seem"),
        (f"{line}\r{line}\r\n\0\0\0\n{line}\n", 2, "holds a NUL, as a download that broke off leaves them"),
    ):
        with pytest.raises(UnreadableBlockError, match=what) as caught:
            parse_block(text.encode())
        assert caught.value.line == number


def test_no_more_lines_are_rejected_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "FAULT_LIMIT", 10)
    assert len(parse_block(b"x\n" * 10).faults) == 10
    with pytest.raises(
        UnreadableBlockError, match="one of more than 10 near each other that cannot be read: no member"
    ):
        parse_block(b"x\n" * 11)


def test_a_fault_says_why() -> None:
    ((number, fault),) = parse_block(b"\nhello 0,1,2,3,4,5\n").faults
    assert number == 1
    assert fault == LineFault(RejectReason.LINE_NAME, None, "'hello' is no frame's name, or too long a one")


def test_regular_lines_never_go_through_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(line: bytes) -> Line:
        raise AssertionError(line)

    monkeypatch.setattr("pipeline.sources.city1m.labels.columns.parse_line", refuse)
    text = f"  {STEM}.jpg\t 2,1.5,-2,3.25,1e3,5   0,1,2,3,4,5 \r\n\n{STEM}.jpg 2147483647,1,2,3,4,5\n"
    block = parse_block(text.encode())
    assert block.counts.tolist() == [2, 1]
    assert block.person_ids.tolist() == [0, 2, 2147483647]
    assert block.values[1].tolist() == [1.5, -2, 3.25, 1000, 5]
