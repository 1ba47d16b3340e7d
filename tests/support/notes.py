"""Notes as tests compare them."""

from collections.abc import Mapping

from shards_spec.rejects import Noted


def note_counts(notes: Mapping[str, Noted]) -> dict[str, int]:
    """How often each note occurred, by its code."""
    return {str(note): noted.count for note, noted in notes.items()}
