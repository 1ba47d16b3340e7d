"""Print what a set holds and how far it is, on machines where nothing can be converted too."""

import shlex

from rich.console import Console
from rich.table import Table

from pipeline.cli.progress import duration
from pipeline.cli.shown import shown
from pipeline.run.status import Status
from shards_spec.manifest import Manifest, spell_losses
from shards_spec.text import spell_bytes, spell_count
from shards_spec.variants import variant_named


def print_totals(manifest: Manifest, out: str, console: Console) -> None:
    """Print what a set holds and where it lies."""
    totals = manifest.totals
    unit = variant_named(manifest.variant).unit
    counts = ("samples", "shards") if unit == "sample" else (f"{unit}s", "samples", "shards")
    table = Table("protocol", "split", *counts)
    for column in table.columns[2:]:
        column.justify = "right"
    for protocol, splits in manifest.protocols.items():
        for split, names in splits.items():
            cells = [manifest.cells[name] for name in names]
            numbers = [sum(cell.units for cell in cells)] if unit != "sample" else []
            numbers += [sum(cell.samples for cell in cells), sum(len(cell.shards) for cell in cells)]
            table.add_row(shown(protocol), shown(split), *(f"{number:,}" for number in numbers))
    console.print(table)
    units = "" if unit == "sample" else f" of {spell_count(totals.units, unit)}"
    console.print(
        f"{shown(out)}: {spell_count(totals.samples, 'sample')}{units} in {spell_count(totals.shards, 'shard')}, "
        f"{spell_bytes(totals.bytes)}; rejected {spell_losses(totals.accounts)}"
    )


def print_end(manifest: Manifest, out: str, units: int, seconds: float, console: Console) -> None:
    """Print how long a conversion took, and what to do next.

    Args:
        manifest: The manifest of the finished set.
        out: Where the set lies, as the user named it.
        units: Number of units that this run has read.
        seconds: Time since its start.
        console: The console to print to.
    """
    unit = variant_named(manifest.variant).unit
    speed = (
        f", {spell_count(units, unit)} at {units / max(seconds, 1e-9):,.0f} {unit}s/s, start to end" if units else ""
    )
    console.print(f"done in {duration(seconds)}{speed}")
    place = shown(shlex.quote(out))
    console.print(f"next: reid-shards verify {place}; reid-shards report {place}")


def print_status(status: Status, out: str, console: Console) -> None:
    """Print how far a set is and who works on it."""
    if status.is_complete:
        done = (
            f"[bold green]complete[/]: {spell_count(status.shards, 'shard')}, {spell_count(status.units, status.unit)}"
        )
    else:
        done = f"{status.shards:,} of {spell_count(status.shards_planned, 'shard')}, "
        done += f"{status.units:,} of {spell_count(status.units_planned, status.unit)}"
    console.print(
        f"{shown(out)}: {done}, {spell_count(status.samples, 'sample')}, {status.rejected_samples:,} rejected, "
        f"{spell_bytes(status.bytes)}"
    )
    if status.holder is not None:
        console.print(f"{shown(status.holder)} is writing to it")
    elif not status.is_complete:
        console.print("nobody is writing to it: the command that began it continues")
