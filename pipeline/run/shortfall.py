"""What keeps a conversion from exit code 0. The same rule holds for the plan and for the finished set."""

from collections.abc import Mapping, Sequence

from pipeline.options import Limit
from shards_spec.manifest import Account, spell_losses
from shards_spec.variants import variant_named


def shortfalls(gaps: Sequence[str], variant: str, accounts: Mapping[str, Account], limit: Limit) -> list[str]:
    """Say why a conversion ends with exit code 3; an empty list where it ends with 0.

    Nobody knows how much a missing split or archive would have held, so only a limit of 100% accepts one.

    Args:
        gaps: Sentences about what the source seems to lack.
        variant: Name of the variant, which says what the accounts count.
        accounts: What is known to be lost. Whatever is neither a sample nor a unit, such as a label line that cannot be
            read, counts as one sample, because nobody can say how many it would have been.
        limit: The ``--max-rejects`` of the conversion.
    """
    reasons = []
    if gaps and not limit.allows_all:
        warnings = "the warning" if len(gaps) == 1 else f"the {len(gaps)} warnings"
        reasons.append(f"the source is incomplete, see {warnings} above (--max-rejects 100% accepts that)")
    units = variant_named(variant).units_account
    samples = accounts[variant_named(variant).samples_account]
    lost = sum(account.rejected for name, account in accounts.items() if name != units)
    if not limit.allows(lost, samples.total + lost - samples.rejected):
        reasons.append(f"{spell_losses(accounts)} are rejected, over --max-rejects {limit}")
    return reasons
