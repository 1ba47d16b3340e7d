"""Files that are taken over as they are, and their comparison."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from pipeline.archives import EntryFault
from pipeline.samples import Outcome, Sample, compare_copy, copy_samples
from shards_spec.errors import SpecError
from shards_spec.rejects import Reject, RejectReason

FAULT = EntryFault(RejectReason.IMAGE_DAMAGED, "CRC-32 1, not 2")
SIDECAR = SimpleNamespace(name="a", camera=None, box=(1, 2))


class Row(NamedTuple):
    name: str
    where: str = "a.zip:a"


def describe(row: Row, files: tuple[bytes, ...]) -> Sample:
    return Sample(row.name, SIDECAR, files)


def test_contents_become_files_and_a_row_with_a_fault_is_lost_as_a_whole() -> None:
    whole, damaged, last = copy_samples(
        [(Row("a"), [b"1", b""]), (Row("b", "a.zip:b"), [b"1", FAULT]), (Row("c"), [b"3"])], describe
    )
    assert whole == Outcome(samples=[Sample("a", SIDECAR, (b"1", b""))])
    reject = Reject(RejectReason.IMAGE_DAMAGED, "a.zip:b", "b", None, 1, "CRC-32 1, not 2")
    assert damaged == Outcome(rejects=[reject])
    assert last == Outcome(samples=[Sample("c", SIDECAR, (b"3",))])


def test_a_sample_that_is_as_the_source_says_passes() -> None:
    compare_copy(Sample("a", SIDECAR, (b"1", b"2")), {"name": "a", "camera": None, "box": (1, 2)}, "w", [b"1", b"2"])


@pytest.mark.parametrize(
    ("files", "wanted", "contents", "message"),
    [
        ((b"1",), {"name": "b"}, [b"1"], "its sidecar says name a, but the source b"),
        ((b"1",), {"camera": 3}, [b"1"], "its sidecar says camera None, but the source 3"),
        ((b"1",), {"box": (1, 3)}, [b"1"], r"its sidecar says box \[1, 2\], but the source \[1, 3\]"),
        ((b"1",), {}, [b"1", b"2"], "it has 1 files, but the source 2"),
        ((b"1", b"3"), {}, [b"1", b"2"], "the bytes of its file 2 are not those of the source"),
        ((b"1",), {}, [FAULT], "a.zip:a, which it was made from: CRC-32 1, not 2"),
    ],
)
def test_a_difference_is_named(
    files: tuple[bytes, ...], wanted: dict[str, Any], contents: list[bytes | EntryFault], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        compare_copy(Sample("a", SIDECAR, files), wanted, "a.zip:a", contents)
