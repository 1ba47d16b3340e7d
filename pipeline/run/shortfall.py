"""What keeps a conversion from exit code 0. The same rule holds for the plan and for the finished set."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.options import Limit


class Accounts(Protocol):
    """Counts of what was labelled and of what is lost, as a catalog or a set's totals have them."""

    @property
    def labelled_members(self) -> int:
        """Return the number of members on all label lines that could be read."""

    @property
    def rejected_members(self) -> int:
        """Return how many of these members are lost."""

    @property
    def label_lines_rejected(self) -> int:
        """Return the number of label lines that could not be read."""


def shortfalls(gaps: Sequence[str], accounts: Accounts, limit: Limit) -> list[str]:
    """Say why a conversion ends with exit code 3; an empty list where it ends with 0.

    Nobody knows how much a missing split or archive would have held, so only a limit of 100% accepts one.

    Args:
        gaps: Sentences about what the source seems to lack.
        accounts: What is known to be lost. A label line that cannot be read counts as one member.
        limit: The ``--max-rejects`` of the conversion.
    """
    reasons = []
    if gaps and not limit.allows_all:
        warnings = "the warning" if len(gaps) == 1 else f"the {len(gaps)} warnings"
        reasons.append(f"the source is incomplete, see {warnings} above (--max-rejects 100% accepts that)")
    lines = accounts.label_lines_rejected
    if not limit.allows(accounts.rejected_members + lines, accounts.labelled_members + lines):
        reasons.append(
            f"{accounts.rejected_members:,} of {accounts.labelled_members:,} labelled members and {lines:,} label "
            f"lines are rejected, over --max-rejects {limit}"
        )
    return reasons
