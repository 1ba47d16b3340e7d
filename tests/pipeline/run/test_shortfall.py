"""Which conversions end with exit code 3."""

import pytest

from pipeline.options import Limit
from pipeline.run.shortfall import shortfalls
from shards_spec.manifest import Account


@pytest.mark.parametrize(
    ("gaps", "rejected", "lines", "limit", "reasons"),
    [
        ([], 0, 0, "0", []),
        ([], 1, 0, "1%", []),
        ([], 2, 0, "1%", ["0 of 50 lines, 1 of 40 frames, 2 of 100 members are rejected, over --max-rejects 1%"]),
        ([], 1, 1, "1", ["1 of 50 lines, 1 of 40 frames, 1 of 100 members are rejected, over --max-rejects 1"]),
        ([], 100, 50, "100%", []),
        (["a"], 0, 0, "99.9%", ["the source is incomplete, see the warning above (--max-rejects 100% accepts that)"]),
        (["a"], 0, 0, "1000000", ["the source is incomplete, see the warning above (--max-rejects 100% accepts that)"]),
        (["a", "b"], 0, 0, "100%", []),
        (
            ["a", "b"],
            1,
            0,
            "0",
            [
                "the source is incomplete, see the 2 warnings above (--max-rejects 100% accepts that)",
                "0 of 50 lines, 1 of 40 frames, 1 of 100 members are rejected, over --max-rejects 0",
            ],
        ),
    ],
)
def test_what_is_missing_or_lost_beyond_the_limit_is_said(
    gaps: list[str], rejected: int, lines: int, limit: str, reasons: list[str]
) -> None:
    counts = {"lines": (50, lines), "frames": (40, 1), "members": (100, rejected)}
    accounts = {name: Account(total, total - lost, lost) for name, (total, lost) in counts.items()}
    assert shortfalls(gaps, "city1m", accounts, Limit.parse(limit)) == reasons
