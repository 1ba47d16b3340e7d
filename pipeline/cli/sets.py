"""The commands that read a set: ``status``, ``verify``, ``stream``, ``export wids`` and ``export dali``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import EXIT_FAILED, console, error_console
from pipeline.cli.parameters import Given, OutArgument, WorkersOption, limit_workers, takes_options
from pipeline.cli.progress import ProgressLine, duration
from pipeline.cli.shown import shown
from pipeline.options import option_name, parse_size
from shards_spec.errors import UsageError
from shards_spec.text import spell_bytes

if TYPE_CHECKING:
    from shards_spec.verify import Fault


def status(out: OutArgument) -> None:
    """Say how far a conversion is, and whether somebody works on it now. Reads OUT alone, and changes nothing."""
    from pipeline.cli.set_tables import print_status
    from pipeline.run.status import read_status
    from shards_spec.manifest import MANIFEST_FILE
    from shards_spec.storage import reach_store

    print_status(read_status(reach_store(out, MANIFEST_FILE)), out, console)


@takes_options(lambda option: option.is_place)
def verify(
    out: OutArgument,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SRC",
            help="Folder or URL of what the set was made from: survey it again, and compare every sample with its "
            "frame.",
            show_default=False,
        ),
    ] = None,
    workers: WorkersOption = None,
    options: Given,
) -> None:
    """Check a set: every digest, tar, sidecar, image, index row and count. Names the first fault of each shard."""
    from pipeline.cli.set_tables import print_totals
    from shards_spec.manifest import MANIFEST_FILE
    from shards_spec.manifest_read import read_manifest
    from shards_spec.storage import reach_store
    from shards_spec.verify import verify as verify_set

    if options and source is None:
        raise UsageError(f"{option_name(next(iter(options)))} says where files of --source lie: give --source as well")
    totals = read_manifest(reach_store(out, MANIFEST_FILE)).totals
    with ProgressLine(error_console, "verify", totals.samples, "samples") as progress:
        verdict = verify_set(out, workers, lambda shard: progress.update(shard.samples) if shard else progress.update())
    for note in verdict.notes:
        console.print(f"note: {shown(note)}")
    _print_faults(
        verdict.faults,
        out,
        "Where .work is still there, delete the files named above and dataset.json: the command that made the set "
        "makes just them again. Else convert to another folder",
    )
    if source is not None:
        from pipeline.compare import compare_set, survey_again

        plan = survey_again(verdict.manifest, source, options, lambda what: error_console.print(f"plan: {shown(what)}"))
        with ProgressLine(error_console, "compare", totals.samples, "samples") as comparing:
            faults = compare_set(out, verdict.manifest, plan, source, workers, comparing.update)
        _print_faults(
            faults, out, f"It is not what {source} gives with the set's options: convert to another folder, and compare"
        )
    print_totals(verdict.manifest, out, console)
    console.print(f"verified in {duration(progress.seconds)}: every byte is as the manifest says")
    if source is not None:
        console.print(
            f"compared in {duration(comparing.seconds)}: every sample is as {shown(source)} has it, none is missing"
        )


def _print_faults(faults: "Sequence[Fault]", out: str, remedy: str) -> None:
    """Print what is wrong with a set, and end with exit code 1; return where nothing is."""
    for fault in faults:
        console.print(f"[bold red]fault:[/] {shown(fault.file)}: {shown(fault.what)}")
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
        console.print(f"{shown(out)}: {count}. {shown(remedy)}")
        raise typer.Exit(EXIT_FAILED)


def stream(
    out: OutArgument,
    *,
    protocol: Annotated[str, typer.Option(metavar="pN", help="Protocol to read.")] = "p1",
    split: Annotated[str, typer.Option(help="Split to read.")] = "train",
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "-j",
            min=0,
            callback=limit_workers,
            help="Processes that read (needs PyTorch), at most one a core; 0: this one.",
        ),
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Samples a batch.")] = 64,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Decode every crop to this height and width.", show_default="bytes only"),
    ] = None,
) -> None:
    """Read an epoch of a split as a training job does: its speed, its bytes, the time to the first batch."""
    from shards_spec import open_dataset
    from shards_spec.stream.epoch import run_epoch

    height_width = None if size is None else parse_size(size)
    samples = open_dataset(out).stream(
        protocol=protocol, split=split, decode="bytes" if height_width is None else "rgb", size=height_width
    )
    with ProgressLine(error_console, "stream", len(samples.source.selection.rows), "samples") as progress:
        report = run_epoch(samples, batch_size, workers, progress.update)
    console.print(
        f"{protocol} {split}: {report.samples:,} samples, {spell_bytes(report.bytes)} in {report.seconds:.2f} s: "
        f"{report.samples_per_second:,.0f} samples/s; first batch after {report.first_batch_seconds:.2f} s"
    )


def wids(
    out: OutArgument,
    folder: Annotated[
        Path, typer.Option("--to", metavar="DIR", file_okay=False, help="Folder to write the indexes to.")
    ] = Path(),
) -> None:
    """Write an index a split for wids, which reads shards at random places: wids-p1-train.json, ..."""
    from shards_spec import open_dataset
    from shards_spec.stream.export import write_wids

    for path in write_wids(open_dataset(out), folder):
        console.print(shown(path))


def dali(
    out: OutArgument,
    folder: Annotated[
        Path, typer.Option("--to", metavar="DIR", file_okay=False, help="Folder to write the indexes to.")
    ] = Path(),
) -> None:
    """Write an index a shard for DALI, and a list a split of shards and indexes: dali-p1-train.json, ..."""
    from shards_spec import open_dataset
    from shards_spec.stream.export import write_dali

    for path in write_dali(open_dataset(out), folder):
        console.print(shown(path))
