"""What a plan says, for programs to read: what ``plan --json`` prints."""

from collections import Counter
from typing import Any

from pipeline.plan import Plan
from pipeline.run.shortfall import shortfalls


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return what a conversion would do and what it would lose, as JSON values."""
    catalog = plan.catalog
    read, written = catalog.source.load().sizes(catalog, plan.options)
    cells = {cell: [shard for shard in plan.shards if shard.cell == cell] for cell in sorted(catalog.cell_splits)}
    return {
        "kind": catalog.source.name,
        "variant": catalog.variant,
        "dataset": catalog.dataset,
        "demo": catalog.demo,
        "digest": plan.digest,
        "options": plan.options.output_bearing(),
        "cells": {
            cell: {
                "units": sum(len(shard.rows) for shard in shards),
                "samples": sum(shard.samples for shard in shards),
                "shards": len(shards),
            }
            for cell, shards in cells.items()
        },
        "bytes_to_read": read,
        "bytes_to_write": int(written.sum()),
        "protocols": catalog.protocols,
        "decisions": catalog.decisions,
        "notes": catalog.notes,
        "accounts": catalog.accounts,
        "rejects": dict(Counter(str(reject.reason) for reject in catalog.rejects)),
        "gaps": catalog.gaps,
        "reasons": shortfalls(catalog.gaps, catalog.variant, catalog.accounts, plan.options.common.max_rejects),
    }
