"""City1M-Full: synthetic frames of groups of people, in zips, with label files.

The dataset is described in its paper and in the README that it is distributed with.
"""

from typing import TYPE_CHECKING

from pipeline.sources.base import Look, Source
from pipeline.sources.city1m.options import City1MOptions

if TYPE_CHECKING:
    from shards_spec.storage import Store


def _look(store: "Store") -> Look:
    """Look for an archive of City1M-Full, or else for a label file, at the top of a folder."""
    from pipeline.sources.city1m.full.recognise import look_for_city1m

    return look_for_city1m(store)


CITY1M = Source(
    name="city1m",
    title="City1M-Full",
    variant="city1m",
    options=City1MOptions,
    cuts=True,
    samples_per_shard=10_000,
    recognises=_look,
    converter="pipeline.sources.city1m.full.converter:City1MConverter",
)
