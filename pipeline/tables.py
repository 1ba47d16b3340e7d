"""What the commands print: a plan to judge, a set to know."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.catalog import Catalog, list_values
from pipeline.plan import Plan
from pipeline.progress import byte_count
from pipeline.shard import ShardRecord
from pipeline.status import Status
from shards_spec.manifest import Manifest
from shards_spec.rejects import RejectReason

EXAMPLES = 3
"""Rejects that are shown of each reason."""


def print_plan(plan: Plan, console: Console) -> None:
    """Print what a conversion would do, so that a person can judge it before giving it a cluster."""
    catalog = plan.catalog
    table = Table("cell", "frames", "samples", "shards", "samples a shard")
    for column in table.columns:
        column.overflow = "fold"  # on a narrow terminal; cut off, cells look alike and numbers are wrong
    for column in table.columns[1:]:
        column.justify = "right"
    for cell in sorted(catalog.cell_splits):
        shards = [shard for shard in plan.shards if shard.cell == cell]
        sizes = [shard.samples for shard in shards]
        span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
        table.add_row(
            cell, f"{sum(len(shard.rows) for shard in shards):,}", f"{sum(sizes):,}", f"{len(shards):,}", span
        )
    console.print(table)
    size = int(list_sum(catalog, "compressed_size"))
    console.print(
        f"{catalog.frames.num_rows:,} frames, {len(list_values(catalog.frames['person_ids'])):,} samples, "
        f"{len(plan.shards):,} shards; {byte_count(size)} to read"
    )
    _print_decisions(catalog, console)
    for note, count in catalog.notes.items():
        console.print(f"note: {escape(note)}: {count:,}")
    _print_losses(catalog, console)
    _print_examples(catalog, console)
    _print_warnings(catalog, console)
    console.print(f"digest {plan.digest}")


def print_findings(catalog: Catalog, console: Console) -> None:
    """Print what of a plan its user must know even where the work begins at once."""
    _print_decisions(catalog, console)
    _print_losses(catalog, console)
    _print_warnings(catalog, console)


def list_sum(catalog: Catalog, column: str) -> int:
    """The sum of a column of the catalog."""
    return sum(chunk.to_numpy().sum(dtype="int64") for chunk in catalog.frames[column].chunks)


def _print_decisions(catalog: Catalog, console: Console) -> None:
    for name, decision in catalog.decisions.items():
        evidence = ", ".join(f"{key} {value}" for key, value in decision.evidence.items())
        console.print(f"{name}: [bold]{escape(decision.choice)}[/] ({escape(evidence)})")


def _print_losses(catalog: Catalog, console: Console) -> None:
    if catalog.rejects:
        console.print(
            f"rejected: {catalog.rejected_members:,} of {catalog.labelled_members:,} labelled members, "
            f"{catalog.label_lines_rejected:,} of {catalog.label_lines:,} label lines"
        )


def _print_warnings(catalog: Catalog, console: Console) -> None:
    for warning in catalog.warnings:
        console.print(f"[bold yellow]warning:[/] {escape(warning)}")


def _print_examples(catalog: Catalog, console: Console) -> None:
    for reason in RejectReason:
        rejects = [reject for reject in catalog.rejects if reject.reason is reason]
        if rejects:
            console.print(f"  {reason}: {len(rejects):,}")
            for reject in rejects[:EXAMPLES]:
                console.print(f"    {escape(reject.where)}: {escape(reject.detail)}")


def print_totals(manifest: Manifest, out: str, console: Console) -> None:
    """Print what a set holds and where it lies."""
    totals = manifest.totals
    table = Table("protocol", "split", "frames", "samples", "shards")
    for column in table.columns[2:]:
        column.justify = "right"
    for protocol, splits in manifest.protocols.items():
        for split, names in splits.items():
            cells = [manifest.cells[name] for name in names]
            table.add_row(
                protocol,
                split,
                f"{sum(cell.frames for cell in cells):,}",
                f"{sum(cell.samples for cell in cells):,}",
                f"{sum(len(cell.shards) for cell in cells):,}",
            )
    console.print(table)
    console.print(
        f"{escape(out)}: {totals.samples:,} samples of {totals.frames:,} frames in {totals.shards:,} shards, "
        f"{byte_count(totals.bytes)}; rejected {totals.rejected_members:,} of {totals.labelled_members:,} labelled "
        f"members and {totals.label_lines_rejected:,} of {totals.label_lines:,} label lines"
    )


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
    console.print(f"read {byte_count(bytes_read)} in {requests:,} requests, {share}")


def print_status(status: Status, out: str, console: Console) -> None:
    """Print how far a set is and who works on it."""
    if status.is_complete:
        done = f"[bold green]complete[/]: {status.shards:,} shards, {status.frames:,} frames"
    else:
        done = f"{status.shards:,} of {status.shards_planned:,} shards, "
        done += f"{status.frames:,} of {status.frames_planned:,} frames"
    console.print(
        f"{escape(out)}: {done}, {status.samples:,} crops, {status.rejected_members:,} members rejected, "
        f"{byte_count(status.bytes)}"
    )
    if status.holder is not None:
        console.print(f"{escape(status.holder)} is writing to it")
    elif not status.is_complete:
        console.print("nobody is writing to it: the command that began it continues")
