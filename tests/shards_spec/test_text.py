"""Numbers as text."""

import pytest

from shards_spec.text import spell_bytes, spell_count


def test_counts() -> None:
    assert [spell_count(count, "shard") for count in (0, 1, 1200)] == ["0 shards", "1 shard", "1,200 shards"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456_789, "123.5 MB"), (5.2e9, "5.2 GB"), (4e15, "4,000.0 TB")],
)
def test_bytes(count: float, text: str) -> None:
    assert spell_bytes(count) == text
