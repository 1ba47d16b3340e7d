"""What is left to make, and in which order."""

from pathlib import Path

from pipeline.shards.tasks import shards_to_make
from tests.support.options import city1m_options
from tests.support.sets import plan_source
from tests.support.source import mini_source


def test_the_longest_shards_are_made_first(tmp_path: Path) -> None:
    plan = plan_source(mini_source(groups=30).write(tmp_path), city1m_options(samples_per_shard=50))
    shards = shards_to_make(plan, set())
    assert sorted((shard.cell, shard.number) for shard in shards) == [(s.cell, s.number) for s in plan.shards]
    lengths = [len(shard.rows) for shard in shards]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths != [len(shard.rows) for shard in plan.shards], "the plan's own order would have done"
    first = shards[0]
    assert shards_to_make(plan, {(first.cell, first.number)}) == shards[1:]
