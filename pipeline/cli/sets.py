"""The commands that read a set: ``status``, ``verify``, ``stream``, ``export wids`` and ``export dali``."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.answers import JsonOption, QuietOption, print_json, progress, results
from pipeline.cli.console import EXIT_FAILED, console
from pipeline.cli.parameters import Given, OutArgument, WorkersOption, limit_workers, takes_options
from pipeline.cli.progress import ProgressLine, duration
from pipeline.cli.shown import shown
from pipeline.cli.values import NATURAL, POSITIVE, whole_number
from pipeline.options import option_name, parse_size
from shards_spec.errors import UsageError
from shards_spec.text import spell_bytes, spell_count

if TYPE_CHECKING:
    from shards_spec.verify import Fault

_MAKE_AGAIN = (
    "Where .work is still there, delete the files named above and dataset.json: the command that made the set makes "
    "just them again. Else convert to another folder"
)


def status(out: OutArgument, *, as_json: JsonOption = False) -> None:
    """Say how far a conversion is, and whether somebody works on it now. Reads OUT alone, and changes nothing."""
    from pipeline.cli.set_tables import print_status
    from pipeline.run.status import read_status
    from shards_spec.manifest import MANIFEST_FILE
    from shards_spec.storage import reach_store

    found = read_status(reach_store(out, MANIFEST_FILE))
    if as_json:
        print_json(command="status", set=out, **asdict(found))
    else:
        print_status(found, out, console)


@takes_options(lambda option: option.is_place)
def verify(
    out: OutArgument,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SRC",
            help="Folder or URL of what the set was made from: survey it again, and compare every sample with it.",
            show_default=False,
        ),
    ] = None,
    workers: WorkersOption = None,
    options: Given,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
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
    line = progress(quiet=quiet)
    with ProgressLine(line, "verify", totals.samples, "samples") as checking:
        verdict = verify_set(out, workers, lambda shard: checking.update(shard.samples) if shard else checking.update())
    told = results(as_json=as_json, quiet=quiet)
    for note in verdict.notes:
        told.print(f"note: {shown(note)}")
    faults, remedy = verdict.faults, _MAKE_AGAIN
    if source is not None and not faults:
        from pipeline.compare import compare_set, survey_again

        plan = survey_again(verdict.manifest, source, options, lambda what: line.print(f"plan: {shown(what)}"))
        with ProgressLine(line, "compare", totals.samples, "samples") as comparing:
            faults = compare_set(out, verdict.manifest, plan, source, workers, comparing.update)
        remedy = f"It is not what {source} gives with the set's options: convert to another folder, and compare"
    if as_json:
        told_faults = [{"file": fault.file, "what": fault.what} for fault in faults]
        print_json(command="verify", set=out, source=source, faults=told_faults, notes=verdict.notes, totals=totals)
    elif faults:
        _print_faults(faults, out, remedy)
    if faults:
        raise typer.Exit(EXIT_FAILED)
    print_totals(verdict.manifest, out, told)
    told.print(f"verified in {duration(checking.seconds)}: every byte is as the manifest says")
    if source is not None:
        told.print(
            f"compared in {duration(comparing.seconds)}: every sample is as {shown(source)} has it, none is missing"
        )


def _print_faults(faults: "Sequence[Fault]", out: str, remedy: str) -> None:
    """Print what is wrong with a set, and what to do about it."""
    for fault in faults:
        console.print(f"[bold red]fault:[/] {shown(fault.file)}: {shown(fault.what)}")
    count = spell_count(len(faults), "fault")
    console.print(f"{shown(out)}: {count}. {shown(remedy)}")


def _protocol(text: str) -> str:
    """Return the name of a protocol, of which the number will do, too."""
    return f"p{text}" if text.isdecimal() else text


def stream(
    out: OutArgument,
    *,
    protocol: Annotated[
        str, typer.Option(metavar="NAME", help="Protocol to read: 1 and p1 mean the same.", parser=_protocol)
    ] = "p1",
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Split to read.", show_default="train, or the only split of the protocol"),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "-j",
            metavar="N",
            parser=whole_number("--workers", NATURAL),
            callback=limit_workers,
            help="Processes that read (needs PyTorch), at most one for each core. With 0, this process reads.",
        ),
    ] = 0,
    batch_size: Annotated[
        int,
        typer.Option(
            metavar="N", help=f"Samples in a batch. From {POSITIVE}.", parser=whole_number("--batch-size", POSITIVE)
        ),
    ] = 64,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Decode every crop to this height and width.", show_default="bytes only"),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read an epoch of a split as a training job does, and print speed, bytes and the time to the first batch."""
    from shards_spec import open_dataset
    from shards_spec.stream.epoch import run_epoch
    from shards_spec.stream.selection import choose_split

    dataset = open_dataset(out)
    split = choose_split(dataset.manifest, protocol, split)
    height_width = None if size is None else parse_size(size)
    samples = dataset.stream(
        protocol=protocol, split=split, decode="bytes" if height_width is None else "rgb", size=height_width
    )
    with ProgressLine(progress(quiet=quiet), "stream", len(samples.source.selection.rows), "samples") as line:
        report = run_epoch(samples, batch_size, workers, line.update)
    if as_json:
        print_json(command="stream", set=out, protocol=protocol, split=split, **asdict(report))
    results(as_json=as_json, quiet=quiet).print(
        f"{shown(protocol)} {shown(split)}: {report.samples:,} samples, {spell_bytes(report.bytes)} in "
        f"{report.seconds:.2f} s: {report.samples_per_second:,.0f} samples/s; first batch after "
        f"{report.first_batch_seconds:.2f} s"
    )


ToOption = Annotated[
    Path,
    typer.Option(
        "--to", metavar="DIR", file_okay=False, help="Folder to write the indexes to.", show_default="this folder"
    ),
]


def wids(
    out: OutArgument,
    folder: ToOption = Path(),
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write an index of each split for wids, which reads single samples. Files are named like wids-p1-train.json."""
    from shards_spec import open_dataset
    from shards_spec.stream.export import write_wids

    _print_files("export wids", write_wids(open_dataset(out), folder), as_json=as_json, quiet=quiet)


def dali(
    out: OutArgument,
    folder: ToOption = Path(),
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write an index of each shard for DALI, and lists of them. Each split has a list like dali-p1-train.json."""
    from shards_spec import open_dataset
    from shards_spec.stream.export import write_dali

    _print_files("export dali", write_dali(open_dataset(out), folder), as_json=as_json, quiet=quiet)


def _print_files(command: str, paths: Iterable[Path], *, as_json: bool, quiet: bool) -> None:
    """Print the names of files that were written."""
    told, files = results(as_json=as_json, quiet=quiet), []
    for path in paths:
        files.append(str(path))
        told.print(shown(path))
    if as_json:
        print_json(command=command, files=files)
