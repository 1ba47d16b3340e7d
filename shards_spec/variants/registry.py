"""The variants that this version knows."""

from collections.abc import Mapping
from typing import Protocol

from shards_spec.errors import SpecError
from shards_spec.manifest import Decision
from shards_spec.variants.base import Variant
from shards_spec.variants.city1m import CITY1M
from shards_spec.variants.city1m_lite import CITY1M_LITE
from shards_spec.variants.person_models import PERSON_MODELS
from shards_spec.variants.sysu30k import SYSU30K
from shards_spec.variants.tables import BOXES, IMAGES

VARIANTS = (CITY1M, CITY1M_LITE, SYSU30K, BOXES, IMAGES, PERSON_MODELS)
"""The variants that this package defines."""

_variants = {variant.name: variant for variant in VARIANTS}


def register(variant: Variant) -> None:
    """Add a variant that is defined outside of this package. Adding the same one again changes nothing.

    Raises:
        ValueError: Another variant has this name.
    """
    if _variants.setdefault(variant.name, variant) != variant:
        raise ValueError(f"there is another variant named {variant.name!r}")


def added_variants() -> list[Variant]:
    """Return the variants that this program has registered."""
    return [variant for variant in _variants.values() if variant not in VARIANTS]


def variant_named(name: str) -> Variant:
    """Return the variant of this name.

    Raises:
        SpecError: This version knows no such variant.
    """
    variant = _variants.get(name)
    if variant is None:
        known = ", ".join(map(repr, sorted(_variants)))
        raise SpecError(f"variant {name!r}, but this version reads {known}: install a newer reid-shards")
    return variant


class Described(Protocol):
    """What says of which variant a set is, and which further columns it has: a manifest, or a catalog."""

    @property
    def variant(self) -> str:
        """The name of the variant."""

    @property
    def decisions(self) -> Mapping[str, Decision]:
        """The decisions by name."""


def variant_of(described: Described) -> Variant:
    """Return the variant of a set, with the further columns that this set has.

    Raises:
        SpecError: This version knows no such variant, or the columns are not such as the format allows.
    """
    return variant_named(described.variant).of_set(described.decisions)
