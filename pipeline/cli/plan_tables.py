"""Print a plan for a person to judge, and what it cost to make shards."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from pipeline.cli.shown import shown
from pipeline.cluster.scheduler import Failure
from pipeline.plan import Plan
from pipeline.run.shortfall import shortfalls
from pipeline.shards.record import ShardRecord
from pipeline.sources.catalog import Catalog
from shards_spec.manifest import Decision, spell_losses
from shards_spec.rejects import RejectReason
from shards_spec.text import spell_bytes, spell_count
from shards_spec.variants import variant_named
from shards_spec.variants.explanation import explain

EXAMPLES = 3
"""Rejects that are shown of each reason."""


def print_plan(plan: Plan, console: Console) -> None:
    """Print what a conversion would do, so that a person can judge it before giving it a cluster."""
    catalog = plan.catalog
    unit = variant_named(catalog.variant).unit
    has_units = unit != "sample"  # otherwise, the two counts are the same
    table = Table("cell", *([f"{unit}s"] if has_units else []), "samples", "shards", "samples a shard")
    for column in table.columns:
        column.overflow = "fold"  # on a narrow terminal; cut off, cells look alike and numbers are wrong
    for column in table.columns[1:]:
        column.justify = "right"
    for cell in sorted(catalog.cell_splits):
        shards = [shard for shard in plan.shards if shard.cell == cell]
        sizes = [shard.samples for shard in shards]
        span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
        units = [f"{sum(len(shard.rows) for shard in shards):,}"] if has_units else []
        table.add_row(shown(cell), *units, f"{sum(sizes):,}", f"{len(shards):,}", span)
    console.print(table)
    read, written = catalog.source.load().sizes(catalog, plan.options)
    sizes = [int(written[shard.rows].sum()) for shard in plan.shards]
    total = sum(shard.samples for shard in plan.shards)
    counted = f"{spell_count(catalog.rows.num_rows, unit)}, " if has_units else ""
    counted += f"{spell_count(total, 'sample')}, {spell_count(len(plan.shards), 'shard')}"
    console.print(
        f"{counted}; {spell_bytes(read)} to read, about {spell_bytes(sum(sizes))} to write, at most "
        f"{spell_bytes(max(sizes, default=0))} a shard"
    )
    print_decisions(catalog.variant, catalog.decisions, console)
    for note, noted in catalog.notes.items():
        console.print(f"note: {shown(note)}: {noted.count:,}, such as {shown(noted.examples[0])}")
    _print_losses(catalog, console)
    _print_examples(catalog, console)
    console.print(f"digest {plan.digest}")
    print_outlook(plan, console)


def print_findings(plan: Plan, console: Console) -> None:
    """Print what of a plan its user must know even where the work begins at once."""
    print_decisions(plan.catalog.variant, plan.catalog.decisions, console)
    _print_losses(plan.catalog, console)


def print_gaps(gaps: Sequence[str], console: Console) -> None:
    """Print what a source seems to lack."""
    for gap in gaps:
        console.print(f"[bold yellow]warning:[/] {shown(gap)}")


def print_decisions(variant: str, decisions: Mapping[str, Decision], console: Console) -> None:
    """Print what was decided where the source leaves a choice, and what the choice rests on.

    Args:
        variant: The name of the variant.
        decisions: The decisions by name.
        console: The console to print to.
    """
    for name, decision in decisions.items():
        told = explain(variant_named(variant), name, decision)
        console.print(f"{shown(told.question)} [bold]{shown(told.choice)}[/]. {shown(told.meaning)}".rstrip())
        console.print(f"  {shown(told.evidence)}")


def _print_losses(catalog: Catalog, console: Console) -> None:
    if catalog.rejects:
        console.print(f"rejected: {spell_losses(catalog.accounts)}")


def print_outlook(plan: Plan, console: Console) -> None:
    """Print what the source lacks, and how the conversion will end for it."""
    catalog = plan.catalog
    print_gaps(catalog.gaps, console)
    reasons = shortfalls(catalog.gaps, catalog.variant, catalog.accounts, plan.options.common.max_rejects)
    if reasons:
        console.print(f"[bold yellow]the conversion will end with exit code 3:[/] {shown('; '.join(reasons))}")


def _print_examples(catalog: Catalog, console: Console) -> None:
    for reason in RejectReason:
        rejects = [reject for reject in catalog.rejects if reject.reason is reason]
        if rejects:
            console.print(f"  {reason}: {len(rejects):,}")
            for reject in rejects[:EXAMPLES]:
                console.print(f"    {shown(reject.where)}: {shown(reject.detail)}")


def print_work(records: Sequence[ShardRecord], console: Console) -> None:
    """Print what making shards cost: the cores' time, and what was read for it."""
    if not records:
        return
    seconds = {stage: sum(record.seconds[stage] for record in records) for stage in records[0].seconds}
    total = seconds.pop("total")
    shares = ", ".join(f"{stage} {spent / total:.0%}" for stage, spent in seconds.items())
    console.print(f"core time in shards: {total:.1f} s ({shares})")
    requests, bytes_read, bytes_used = (
        sum(getattr(record, field) for record in records) for field in ("requests", "bytes_read", "bytes_used")
    )
    share = f"{bytes_read / bytes_used:.2f} bytes for each byte used" if bytes_used else "nothing of it used"
    console.print(f"read {spell_bytes(bytes_read)} in {requests:,} requests, {share}")


def print_failures(failures: Sequence[Failure], console: Console) -> None:
    """Print which shards failed for good and why. What went wrong in the same way for many is said once."""
    names: dict[str, list[str]] = {}
    for failure in failures:
        names.setdefault(failure.error, []).append(failure.name)
    for error, shards in names.items():
        listed = ", ".join(shards[:EXAMPLES]) + (", ..." if len(shards) > EXAMPLES else "")
        what = f"shard {listed}" if len(shards) == 1 else f"{len(shards):,} shards failed the same way ({listed})"
        console.print(f"[bold red]failed:[/] {shown(f'{what}: {error}')}")
    console.print("the same command tries these shards again")
