"""City1M-Full: synthetic frames of groups of people, in zips, with label files.

The dataset is described in its paper and in the README that it is distributed with.
"""

from pipeline.sources.base import Source
from pipeline.sources.city1m.options import City1MOptions
from pipeline.sources.city1m.recognise import look_for_city1m
from shards_spec.variants.city1m import CITY1M as VARIANT

CITY1M = Source(
    name="city1m",
    title="City1M",
    variant=VARIANT.name,
    options=City1MOptions,
    cuts=True,
    samples_per_shard=10_000,
    recognises=look_for_city1m,
    converter="pipeline.sources.city1m.converter:City1MConverter",
)
