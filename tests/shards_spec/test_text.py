"""Numbers as text."""

import pytest

from shards_spec.text import spell_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456_789, "123.5 MB"), (5.2e9, "5.2 GB"), (4e15, "4,000.0 TB")],
)
def test_bytes(count: float, text: str) -> None:
    assert spell_bytes(count) == text
