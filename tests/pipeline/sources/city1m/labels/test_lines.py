import math

import pytest

from pipeline.sources.city1m.labels.lines import Line, LineFault, parse_line
from shards_spec.rejects import RejectReason

STEM = "0009501_pCount2_cam1_0000001_day"
README_LINE = (
    f"{STEM}.jpg 0,1477.3156,230.6843,186.0616,346.3864,1.5166 1,1752.9762,215.4119,153.7662,221.532,2.6906".encode()
)


def fault(line: bytes) -> LineFault:
    parsed = parse_line(line)
    assert isinstance(parsed, LineFault)
    assert parsed.detail.isprintable()
    assert len(parsed.detail) < 1000
    return parsed


def test_the_readmes_example() -> None:
    assert parse_line(README_LINE) == Line(
        f"{STEM}.jpg".encode(),
        [0, 1],
        [(1477.3156, 230.6843, 186.0616, 346.3864, 1.5166), (1752.9762, 215.4119, 153.7662, 221.532, 2.6906)],
    )


def test_white_space_between_and_around_fields_does_not_matter() -> None:
    assert parse_line(b" \t" + README_LINE.replace(b" ", b" \t  ") + b"  \t") == parse_line(README_LINE)


@pytest.mark.parametrize("number", [b"nan", b"-NaN", b"inf", b"+Infinity", b"-INF", b"1e999"])
def test_numbers_that_are_not_finite_are_read(number: bytes) -> None:
    parsed = parse_line(f"{STEM}.jpg 0,1,2,3,4,".encode() + number)
    assert isinstance(parsed, Line)
    assert not math.isfinite(parsed.values[0][4])


@pytest.mark.parametrize("number", [b"1.", b".5", b"+1.5", b"-0", b"1e5", b"1E-5", b"007", b"9" * 5000, b"1e-999"])
def test_numbers_are_read_as_python_reads_them(number: bytes) -> None:
    parsed = parse_line(f"{STEM}.jpg 0,1,2,3,4,".encode() + number)
    assert isinstance(parsed, Line)
    assert parsed.values[0][4] == float(number)


@pytest.mark.parametrize("number", [b"", b".", b"1e", b"0x10", b"1_0", b"--1", b"1\x00", b"\xff", b"nan(1)", b"1d5"])
def test_what_is_no_number_costs_the_line(number: bytes) -> None:
    found = fault(f"{STEM}.jpg 0,1,2,3,4,5 1,1,2,3,4,".encode() + number)
    assert (found.reason, found.frame) == (RejectReason.LINE_FIELDS, STEM)
    assert "is no number, in '1,1,2,3,4," in found.detail


@pytest.mark.parametrize(
    "person_id", [b"0.5", b"1.0", b"-1", b"+1", b"1e0", b"2147483648", b"9" * 30, b"", b"a", b"nan"]
)
def test_a_person_id_is_an_integer_token_in_range(person_id: bytes) -> None:
    found = fault(f"{STEM}.jpg ".encode() + person_id + b",1,2,3,4,5")
    assert (found.reason, found.frame) == (RejectReason.LINE_FIELDS, STEM)
    assert "is no integer from 0 to 2147483647" in found.detail


@pytest.mark.parametrize("member", [b"0,1,2,3,4", b"0,1,2,3,4,5,6", b"0", b"0,1,2, 3,4,5", b"0,1,2,3,4,5,", b",,,,"])
def test_a_member_has_six_values(member: bytes) -> None:
    found = fault(f"{STEM}.jpg ".encode() + member)
    assert (found.reason, found.frame) == (RejectReason.LINE_FIELDS, STEM)
    assert "values instead of 6" in found.detail


def test_a_line_has_a_member() -> None:
    assert fault(f"{STEM}.jpg".encode()) == LineFault(RejectReason.LINE_FIELDS, STEM, f"no member in '{STEM}.jpg'")


def test_the_first_field_is_a_frames_name() -> None:
    found = fault(b"Images_2/a.jpg 0,1,2,3,4,5")
    assert (found.reason, found.frame) == (RejectReason.LINE_NAME, None)
    assert "'Images_2/a.jpg' is no frame's name" in found.detail


def test_a_key_that_is_too_long_is_named() -> None:
    tail = "_pCount2_cam1_1_day"
    stem = "1" * (90 - len("_p0") - len(tail)) + tail
    assert isinstance(parse_line(f"{stem}.jpg 9,1,2,3,4,5".encode()), Line)
    found = fault(f"{stem}.jpg 9,1,2,3,4,5 10,1,2,3,4,5".encode())
    assert (found.reason, found.frame) == (RejectReason.LINE_NAME, stem)
    assert f"{stem}_p10" in found.detail
    assert fault(f"1{stem}.jpg 9,1,2,3,4,5".encode()).reason is RejectReason.LINE_NAME


def test_bytes_of_any_kind_are_shown_escaped_and_shortened() -> None:
    assert fault(b"\x00\xff\r\xe9" + b"a" * 5000).detail.startswith(r"no member in '\x00\xff\r\xe9aaa")
    assert fault(b"a" * 5000).detail.endswith("'... (5000 bytes)")
