"""The type of a variant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What the samples of a set are, and what their fields mean.

    Objects that travel to other processes carry the variant itself. Its functions are therefore module-level.
    """

    name: str
    """The manifest's name for it."""
    unit: str = "sample"
    """What the samples that stand together in a shard are called, in the singular: "frame" for ``city1m``."""
    accounts: tuple[str, ...]
    """What the source names, counted: the names of the accounts in the manifest's totals, in their order."""
    samples_account: str
    """The account whose ``kept`` is the number of samples."""
    units_account: str | None = None
    """The account whose ``kept`` is the number of units, if there is one."""
