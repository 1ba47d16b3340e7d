import json
import random

import pytest

from shards_spec import rejects
from shards_spec.errors import SpecError, UsageError
from shards_spec.rejects import Reject, RejectReason, check_rejects, decode_rejects, encode_rejects

REJECTS = [
    Reject(RejectReason.BOX_EMPTY, "train_part1.txt:3", "a", 1, 1, "w 0"),
    Reject(RejectReason.BOX_EMPTY, "train_part1.txt:3", "a", 10, 1, "w 0"),
    Reject(RejectReason.BOX_EMPTY, "train_part1.txt:3", "a", None, 2, "w 0"),
    Reject(RejectReason.BOX_EMPTY, "train_part1.txt:3", "a", "9", 1, "w 0"),
    Reject(RejectReason.IMAGE_MISSING, "train_part1.txt:1", "b", None, 3, "no archive holds it"),
    Reject(RejectReason.LINE_NAME, "train_part1.txt:2", None, None, 0, "'x\n'"),
]


def test_the_bytes_do_not_depend_on_the_order_of_finding() -> None:
    expected = encode_rejects(REJECTS)
    for seed in range(5):
        assert encode_rejects(random.Random(seed).sample(REJECTS, len(REJECTS))) == expected


def test_lines_are_json_in_the_order_of_the_format() -> None:
    lines = [json.loads(line) for line in encode_rejects(REJECTS).splitlines()]
    assert [line["person_id"] for line in lines] == [None, 1, 10, "9", None, None]
    assert list(lines[0]) == ["reason", "where", "name", "person_id", "samples", "detail"]
    assert sorted(decode_rejects(encode_rejects(REJECTS)), key=Reject.sort_key) == decode_rejects(
        encode_rejects(REJECTS)
    )


def test_none_is_an_empty_file() -> None:
    assert encode_rejects([]) == b""
    assert decode_rejects(b"") == []


def test_unknown_reasons_are_refused() -> None:
    with pytest.raises(SpecError, match="reason"):
        decode_rejects(b'{"reason":"mood","where":"","name":null,"person_id":null,"samples":0,"detail":""}\n')


def test_more_rejects_than_memory_should_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_rejects(REJECTS)
    monkeypatch.setattr(rejects, "MOST_REJECTS", len(REJECTS))
    assert len(decode_rejects(data)) == len(REJECTS)
    check_rejects(len(REJECTS), "lines")
    monkeypatch.setattr(rejects, "MOST_REJECTS", len(REJECTS) - 1)
    with pytest.raises(SpecError, match="lines, but at most"):
        decode_rejects(data)
    with pytest.raises(UsageError, match="lines are no paths"):
        check_rejects(len(REJECTS), "lines are no paths")
