"""City1M-Lite: a crop of each member of each group, sixteen empty streets, and the label files of City1M-Full."""

from typing import TYPE_CHECKING

from pipeline.sources.base import FrameReconstruction, Look, Source
from pipeline.sources.city1m.options import City1MOptions, ReconstructionOptions

if TYPE_CHECKING:
    from shards_spec.storage import Store


def _look(store: "Store") -> Look:
    """Look for crops of City1M-Lite at the top of a folder."""
    from pipeline.sources.city1m.lite.recognise import look_for_city1m_lite

    return look_for_city1m_lite(store)


CITY1M_LITE = Source(
    name="city1m-lite",
    title="City1M-Lite",
    variant="city1m-lite",
    options=City1MOptions,
    cuts=False,
    samples_per_shard=10_000,
    recognises=_look,
    converter="pipeline.sources.city1m.lite.converter:City1MLiteConverter",
    reconstruction=FrameReconstruction(
        options=ReconstructionOptions, planner="pipeline.sources.city1m.lite.reconstruct:plan_reconstruction"
    ),
)
