"""What is noted while a source is surveyed and its samples are made: counts, with the first few examples of each."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from shards_spec.rejects import EXAMPLE_CHARACTERS, NOTE_EXAMPLES, Note, Noted

_AT_A_TIME = 1 << 20


class Notes:
    """Counts notes, and keeps the first different examples of each: memory is bounded however many there are.

    The examples depend on the order in which notes are added, which must therefore be the same in every run.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, note: str, example: str, count: int = 1) -> None:
        """Count a note that occurred at one place.

        Args:
            note: The code of the note.
            example: Where it occurred, or what it is about, as ``Noted.examples`` has it.
            count: How often it occurred there.
        """
        self.add_all(note, count, [example])

    def add_all(self, note: str, count: int, examples: Iterable[str]) -> None:
        """Count a note.

        Args:
            note: The code of the note.
            count: How often it occurred; 0 adds nothing.
            examples: Where it occurred, in order. As many as are kept are enough.
        """
        if not count:
            return
        self._counts[note] += count
        kept = self._examples.setdefault(note, [])
        for example in examples:
            if len(kept) == NOTE_EXAMPLES:
                return
            spelled = _spell(example)
            if spelled not in kept:
                kept.append(spelled)

    def add_rows(self, note: str, is_noted: npt.NDArray[np.bool_], spell: Callable[[int], str]) -> None:
        """Count a note of rows.

        Args:
            note: The code of the note.
            is_noted: The rows in which it occurred, ``[rows]``.
            spell: Returns the example of a row.
        """
        self.add_all(note, int(np.count_nonzero(is_noted)), map(spell, _first_rows(is_noted)))

    def update(self, noted: Mapping[str, Noted] | Mapping[Note, Noted]) -> None:
        """Add the notes of a part, such as those of a shard."""
        for note, one in noted.items():
            self.add_all(note, one.count, one.examples)

    def total(self) -> dict[str, Noted]:
        """Return count and examples of each note that occurred, sorted by code."""
        return {str(note): Noted(count, list(self._examples[note])) for note, count in sorted(self._counts.items())}


def _first_rows(is_noted: npt.NDArray[np.bool_]) -> list[int]:
    """Return the first rows that are true, as many as are kept; there may be tens of millions."""
    found: list[int] = []
    for start in range(0, len(is_noted), _AT_A_TIME):
        some = np.flatnonzero(is_noted[start : start + _AT_A_TIME])[: NOTE_EXAMPLES - len(found)]
        found += (some + start).tolist()
        if len(found) == NOTE_EXAMPLES:
            break
    return found


def _spell(text: str) -> str:
    """Return a string from a stranger as a manifest can hold it: not empty, not long, and UTF-8."""
    shown = text if len(text) <= EXAMPLE_CHARACTERS else f"{text[: EXAMPLE_CHARACTERS - 1]}…"
    return shown.encode(errors="backslashreplace").decode()[:EXAMPLE_CHARACTERS] or "''"
