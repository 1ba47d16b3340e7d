"""Variants: what the samples of a set are. Each is defined once; writer, index, checks and reader derive from it."""

from shards_spec.variants.base import Variant
from shards_spec.variants.registry import register, variant_named, variant_of

__all__ = ["Variant", "register", "variant_named", "variant_of"]
