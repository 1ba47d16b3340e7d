"""From the plan to a worker's task: a shard's slice of the catalog, taken when it is needed."""

from collections.abc import Container
from dataclasses import replace

import numpy as np

from pipeline.plan import Plan, ShardPlan
from pipeline.shards.convert import ShardTask
from pipeline.sources.converter import Recipe
from shards_spec.variants import variant_of


def shards_to_make(plan: Plan, done: Container[tuple[str, int]]) -> list[ShardPlan]:
    """Return the plan's shards whose (cell, number) is not in ``done``, the longest first.

    Cells differ in size. If a long shard came last, the other cores would wait for it at the end of a run.
    """
    missing = [shard for shard in plan.shards if (shard.cell, shard.number) not in done]
    return sorted(missing, key=lambda shard: len(shard.rows), reverse=True)


def cell_recipe(plan: Plan, cell: str) -> Recipe:
    """Return what the samples of a cell have in common."""
    catalog = plan.catalog
    return Recipe(
        options=plan.options,
        choices={name: decision.choice for name, decision in catalog.decisions.items()},
        splits=catalog.cell_splits[cell],
    )


def shard_task(plan: Plan, shard: ShardPlan) -> ShardTask:
    """Return everything that a worker must know to make the shard.

    A task takes some hundred kilobytes. The driver therefore makes it as late as possible, and anew for each attempt.
    """
    places = np.argsort(shard.rows)
    in_catalog_order = replace(shard, rows=shard.rows[places])
    return ShardTask(
        plan_digest=plan.digest,
        variant=variant_of(plan.catalog),
        cell=shard.cell,
        number=shard.number,
        rows=plan.slice(in_catalog_order),
        places=places,
        source=plan.catalog.source,
        recipe=cell_recipe(plan, shard.cell),
    )
