"""The command line: ``reid-shards``. Each command reads its options here and leaves the work to its module."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from pipeline.cli.progress import ProgressLine, byte_count, duration
from pipeline.cli.shown import shown
from pipeline.options import Limit, Options, parse_size
from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.options import BoxOrder, CropMode, IdentityScope, Shuffle
from shards_spec.requirements import require_convert, require_pillow
from shards_spec.version import SPEC_VERSION, __version__

if TYPE_CHECKING:
    from shards_spec.verify import Fault

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SHORT = 3
EXIT_INTERRUPTED = 130

NO_MEMORY = "this machine has not enough memory for this: use fewer --workers, or a larger machine"

WIDTH_OF_FILES = 200
"""Characters a line where standard output is no terminal: tables take what they need."""

app = typer.Typer(
    name="reid-shards",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Person crops from City1M as WebDataset shards.

    **demo** makes a small look-alike to try things with; **plan** shows what a conversion would do; **convert** does
    it, and goes on where it was interrupted; **status** says how far it is; **verify** checks the result to the last
    byte.

    Exit codes: 0 done · 1 failed · 2 the input or the options make no sense · 3 done, but the source is
    incomplete or more was rejected than --max-rejects allows · 130 interrupted: the same command continues.
    """,
)
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
error_console = Console(highlight=False, soft_wrap=True, stderr=True)

SourceArgument = Annotated[
    str, typer.Argument(metavar="SRC", help="Folder or URL (s3://...) with City1M's Images_*.zip.", show_default=False)
]
OutArgument = Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of the set.", show_default=False)]


def _limit_workers(workers: int | None) -> int | None:
    """Take no more workers than there are cores, with a word about it."""
    cores = len(os.sched_getaffinity(0))
    if workers is None or workers <= cores:
        return workers
    has = "1 core" if cores == 1 else f"{cores} cores"
    error_console.print(
        f"[yellow]warning:[/] --workers {workers}: this machine has {has}, and more workers than cores would only take "
        f"memory: {cores} will be used"
    )
    return cores


WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        min=1,
        callback=_limit_workers,
        help="Cores of this machine to use, at most as many as it has.",
        show_default="all",
    ),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder or URL with train_part1.txt, query_part1.txt, gallery_part1.txt and the same with part2.",
        show_default="SRC",
    ),
]
SamplesPerShardOption = Annotated[
    int, typer.Option(metavar="N", help="Crops that a shard is to hold; 10,000 make about 70 MB.")
]
ShuffleOption = Annotated[
    Shuffle,
    typer.Option(
        help="groups: a shard holds whole groups (of up to 100,000 crops) drawn from all over, its frames shuffled, as "
        "identity batches need it. frames: blocks of frames drawn from all over: better mixed, but no identity "
        "batches. none: as in the archives. auto: groups for cells with a train split, none for the others."
    ),
]
SeedOption = Annotated[int, typer.Option(metavar="N", help="Of the shuffle.")]
MarginOption = Annotated[int, typer.Option(metavar="PIXELS", help="Room to keep around each box.")]
BoxOrderOption = Annotated[
    BoxOrder,
    typer.Option(help="What a label's four box numbers are; auto: the order under which the boxes fit their frames."),
]
IdentityScopeOption = Annotated[
    IdentityScope,
    typer.Option(help="Whether a person id counts inside its group or names a person by itself (global)."),
]
CropOption = Annotated[
    CropMode, typer.Option(help="lossless: cut in the JPEG bitstream; reencode: decode, cut and compress again.")
]
QualityOption = Annotated[
    int, typer.Option(metavar="1-100", help="JPEG quality of the crops that are compressed again.")
]
SizeOption = Annotated[
    str | None,
    typer.Option(metavar="HxW", help="Resize every crop to this height and width, e.g. 256x128.", show_default=False),
]
MaxRejectsOption = Annotated[
    str,
    typer.Option(
        metavar="N|N%",
        help="Labelled members that may be lost before the exit code is 3; 100% accepts an incomplete source, too.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        help="Ray cluster to run on; each of its nodes must see SRC and OUT under these names.",
        show_default="a Ray of its own on this machine",
    ),
]

VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Print a line of JSON a shard on standard error, as it is finished, fails or is tried again.",
    ),
]

DEFAULTS = Options()


def main() -> NoReturn:
    """Run the command line; exits with the code that the help names."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop ends as cleanly as Ctrl-C
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no error
    try:
        app()
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            error_console.print("interrupted")  # Typer makes an exit of it, without a word
        code = int(end.code or 0)
    except KeyboardInterrupt:
        error_console.print("interrupted")
        code = EXIT_INTERRUPTED
    except UsageError as error:
        error_console.print(f"[bold red]error:[/] {shown(error)}")
        code = EXIT_USAGE
    except (ReidShardsError, OSError, EOFError) as error:  # the last of a file that is shorter than it was before
        error_console.print(f"[bold red]error:[/] {shown(error)}")
        code = EXIT_FAILED
    except MemoryError:
        error_console.print(f"[bold red]error:[/] {NO_MEMORY}")
        code = EXIT_FAILED
    session = sys.modules.get("pipeline.cluster.session")
    if session is not None:  # a conversion's Ray may be starting
        session.leave(code)
    sys.exit(code)


def _show_version(value: bool) -> None:
    if value:
        console.print(f"reid-shards {__version__}, shard format {SPEC_VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the versions and exit.")
    ] = False,
) -> None:
    """Typer's place for the options of the program itself; its help is the app's."""


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make it in.", show_default=False)],
    *,
    frames: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Frames to render: 20 or more, with --traps 100.")
    ] = 400,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed renders the same bytes.")] = 0,
    traps: Annotated[
        bool,
        typer.Option("--traps", help="Add what real label files and archives surprise with; see traps.json there."),
    ] = False,
    workers: WorkersOption = None,
) -> None:
    """Make a small look-alike of City1M: rendered street scenes, zips by group size, all six label files."""
    require_pillow("demo")
    from pipeline.demo import make_demo

    with ProgressLine(error_console, "demo", frames, "frames") as progress:

        def show(done: int, _: int) -> None:
            progress.update(done - progress.done)

        summary = make_demo(out, frames=frames, seed=seed, traps=traps, workers=workers, progress=show)
    console.print(
        f"{out}: {summary.frames:,} frames of {summary.groups:,} groups, {summary.members:,} labelled members, "
        f"{byte_count(summary.bytes)}"
    )


@app.command()
def plan(
    src: SourceArgument,
    *,
    labels: LabelsOption = None,
    samples_per_shard: SamplesPerShardOption = DEFAULTS.samples_per_shard,
    shuffle: ShuffleOption = DEFAULTS.shuffle,
    seed: SeedOption = DEFAULTS.seed,
    box_order: BoxOrderOption = DEFAULTS.box_order,
    identity_scope: IdentityScopeOption = DEFAULTS.identity_scope,
    max_rejects: MaxRejectsOption = str(DEFAULTS.max_rejects),
) -> None:
    """Show what a conversion would do: cells, shards, decisions and their evidence, notes, rejects. Writes nothing.

    The exit code is 3 where that of the conversion will be, by what is known before the frames are read.
    """
    require_convert("plan")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.cli.plan_tables import print_plan
    from pipeline.run.driver import plan_conversion
    from pipeline.run.shortfall import shortfalls

    options = Options(
        samples_per_shard=samples_per_shard,
        shuffle=shuffle,
        seed=seed,
        box_order=box_order,
        identity_scope=identity_scope,
        max_rejects=Limit.parse(max_rejects),
    )
    found = plan_conversion(src, labels, options, ConversionDisplay(error_console))
    print_plan(found, console)
    if shortfalls(found.catalog.gaps, found.catalog, options.max_rejects):
        raise typer.Exit(EXIT_SHORT)


@app.command()
def convert(
    src: SourceArgument,
    out: OutArgument,
    *,
    labels: LabelsOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    samples_per_shard: SamplesPerShardOption = DEFAULTS.samples_per_shard,
    shuffle: ShuffleOption = DEFAULTS.shuffle,
    seed: SeedOption = DEFAULTS.seed,
    margin: MarginOption = DEFAULTS.margin,
    box_order: BoxOrderOption = DEFAULTS.box_order,
    identity_scope: IdentityScopeOption = DEFAULTS.identity_scope,
    crop: CropOption = DEFAULTS.crop,
    quality: QualityOption = DEFAULTS.quality,
    size: SizeOption = None,
    max_rejects: MaxRejectsOption = str(DEFAULTS.max_rejects),
    verbose: VerboseOption = False,
) -> None:
    """Convert City1M to shards. Interrupted or killed, the same command continues where it was."""
    require_convert("convert")
    from pipeline.cli.conversion import ConversionDisplay
    from pipeline.run.convert import convert_dataset

    options = Options(
        samples_per_shard=samples_per_shard,
        shuffle=shuffle,
        seed=seed,
        margin=margin,
        box_order=box_order,
        identity_scope=identity_scope,
        crop=crop,
        quality=quality,
        size=None if size is None else parse_size(size),
        max_rejects=Limit.parse(max_rejects),
    )
    if verbose:
        from pipeline.cli.log import log_to

        log_to(error_console)
    try:
        with ConversionDisplay(error_console) as display:
            conversion = convert_dataset(src, labels, out, options, display, workers=workers, address=address)
    except KeyboardInterrupt:
        error_console.print("interrupted; what is finished is kept: the same command continues")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    from pipeline.cli.plan_tables import print_failures, print_gaps, print_work
    from pipeline.cli.set_tables import print_totals
    from pipeline.run.shortfall import shortfalls

    print_work(conversion.records, console)
    print_gaps(conversion.gaps, error_console)
    if conversion.manifest is None:
        print_failures(conversion.failures, error_console)
        raise typer.Exit(EXIT_FAILED)
    print_totals(conversion.manifest, out, console)
    reasons = shortfalls(conversion.gaps, conversion.manifest.totals, options.max_rejects)
    if reasons:
        error_console.print(
            f"[bold red]exit code 3:[/] {shown('; '.join(reasons))}. The set holds all else; its rejects.jsonl names "
            "what was rejected. A mended source goes to another OUT"
        )
        raise typer.Exit(EXIT_SHORT)


@app.command()
def status(out: OutArgument) -> None:
    """Say how far a conversion is, and whether somebody works on it now. Reads OUT alone, and changes nothing."""
    from pipeline.cli.set_tables import print_status
    from pipeline.run.status import read_status
    from shards_spec.manifest import MANIFEST_FILE
    from shards_spec.storage import reach_store

    print_status(read_status(reach_store(out, MANIFEST_FILE)), out, console)


@app.command()
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
    labels: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder or URL of SRC's label files, with --source.", show_default="SRC"),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Check a set: every digest, tar, sidecar, image, index row and count. Names the first fault of each shard."""
    from pipeline.cli.set_tables import print_totals
    from shards_spec.manifest import MANIFEST_FILE, read_manifest
    from shards_spec.storage import reach_store
    from shards_spec.verify import verify as verify_set

    if labels is not None and source is None:
        raise UsageError("--labels says where the label files of --source lie: give --source as well")
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

        plan = survey_again(verdict.manifest, source, labels, lambda what: error_console.print(f"plan: {shown(what)}"))
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


@app.command()
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
            callback=_limit_workers,
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
        f"{protocol} {split}: {report.samples:,} samples, {byte_count(report.bytes)} in {report.seconds:.2f} s: "
        f"{report.samples_per_second:,.0f} samples/s; first batch after {report.first_batch_seconds:.2f} s"
    )


export = typer.Typer(no_args_is_help=True, help="Write lists of a set's shards in the forms that other readers take.")
app.add_typer(export, name="export")


@export.command()
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
