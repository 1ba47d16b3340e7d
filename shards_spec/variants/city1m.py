"""The variant ``city1m``: person crops of City1M's frames."""

from shards_spec.variants.base import Variant

CITY1M = Variant(
    name="city1m",
    unit="frame",
    accounts=("lines", "frames", "members"),
    samples_account="members",
    units_account="frames",
)
