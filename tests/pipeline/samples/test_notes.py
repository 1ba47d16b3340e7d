"""Counting notes, and keeping their first examples."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.samples import Notes, notes
from shards_spec.rejects import EXAMPLE_CHARACTERS, NOTE_EXAMPLES, Note, Noted


def test_the_first_different_examples_are_kept_in_order() -> None:
    found = Notes()
    for place in ["b", "a", "b", "f", "e", "d", "c"]:
        found.add(Note.BLANK_LINE, place)
    found.add(Note.ARCHIVE_REPEATED, "2.zip", 3)
    assert found.total() == {
        "archive_repeated": Noted(3, ["2.zip"]),
        "blank_line": Noted(7, ["b", "a", "f", "e", "d"]),
    }
    assert list(found.total()) == ["archive_repeated", "blank_line"]


def test_what_did_not_occur_is_no_note() -> None:
    found = Notes()
    found.add_all(Note.BLANK_LINE, 0, [])
    found.add_rows(Note.REPEATED_LINE, np.zeros(3, bool), str)
    assert found.total() == {}


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 7))
def test_rows_are_counted_and_only_the_first_ones_are_spelled(rows: list[bool], at_a_time: int) -> None:
    spelled: list[int] = []

    def spell(row: int) -> str:
        spelled.append(row)
        return f"row {row}"

    found = Notes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notes, "_AT_A_TIME", at_a_time)
        found.add_rows(Note.BLANK_LINE, np.array(rows, bool), spell)
    expected = [row for row, is_noted in enumerate(rows) if is_noted]
    assert spelled == expected[:NOTE_EXAMPLES]
    noted = {"blank_line": Noted(len(expected), [f"row {row}" for row in spelled])} if expected else {}
    assert found.total() == noted


@given(st.lists(st.text(st.characters(), max_size=400), min_size=1))
def test_whatever_a_name_holds_it_fits_the_manifest(names: list[str]) -> None:
    found = Notes()
    for name in [*names, "\udcff" * 400, ""]:
        found.add(Note.ENTRY_IGNORED, name)
    (noted,) = found.total().values()
    assert msgspec.json.decode(msgspec.json.encode(noted), type=Noted) == noted
    assert all(len(example) <= EXAMPLE_CHARACTERS for example in noted.examples)


def test_a_long_example_ends_with_an_ellipsis() -> None:
    found = Notes()
    found.add(Note.ENTRY_IGNORED, "a" * 301)
    found.add(Note.ENTRY_IGNORED, "b" * 300)
    assert found.total()["entry_ignored"].examples == ["a" * 299 + "…", "b" * 300]


@given(st.lists(st.tuples(st.sampled_from(list(Note)), st.sampled_from("abcdefgh"))), st.integers(0, 20))
def test_parts_together_are_the_whole(occurrences: list[tuple[Note, str]], cut: int) -> None:
    whole, first, second, both = Notes(), Notes(), Notes(), Notes()
    for place, (note, example) in enumerate(occurrences):
        whole.add(note, example)
        (first if place < cut else second).add(note, example)
    both.update(first.total())
    both.update(second.total())
    assert both.total() == whole.total()
