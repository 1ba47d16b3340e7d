"""The command that puts frames together which a source does not hold: ``reconstruct``."""

import contextlib
from collections.abc import Callable
from typing import Annotated

import typer

from pipeline.cli.answers import JsonOption, QuietOption, print_json, progress, results
from pipeline.cli.console import EXIT_INTERRUPTED, error_console
from pipeline.cli.convert import AddressOption, SourceArgument
from pipeline.cli.parameters import Given, SourceKindOption, WorkersOption, reconstruction_options, takes_options
from pipeline.cli.progress import ProgressLine
from pipeline.cli.shown import shown
from shards_spec.errors import UsageError
from shards_spec.requirements import require_convert

_FAULTS_SHOWN = 10

FramesArgument = Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of the frames.", show_default=False)]


@takes_options(lambda _: True, reconstruction_options)
def reconstruct(
    src: SourceArgument,
    out: FramesArgument,
    *,
    source: SourceKindOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    options: Given,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put frames together of crops and empty streets. Interrupted or killed, the same command continues where it was.

    Each labelled frame becomes a JPEG: its background, with the crops of its members scaled into their boxes, the
    farthest first. It is approximate. A crop is a rectangle without a mask, taken in one place, and stands for its
    person in all frames.
    """
    require_convert("reconstruct")
    from pipeline.cluster.probe import find_source
    from pipeline.run.reconstruct import Telling, reconstruct_frames

    kind, _ = find_source(src, source)
    if kind.reconstruction is None:
        raise UsageError(f"{src} is a source of {kind.title}, of which there are no frames to put together")
    chosen, told = kind.reconstruction.options(**options), progress(quiet=quiet)
    try:
        with contextlib.ExitStack() as stack:

            def begin(frames: int) -> Callable[[int], None]:
                return stack.enter_context(ProgressLine(told, "reconstruct", frames, "frames")).update

            tell = Telling(message=lambda text: told.print(shown(text)), begin=begin)
            made = reconstruct_frames(kind, src, out, chosen, tell, workers=workers, address=address)
    except KeyboardInterrupt:
        error_console.print("interrupted; what is finished is kept: the same command continues")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        counts = {"frames": made.frames, "members": made.members, "members_with_crop": made.planned_members}
        print_json(command="reconstruct", **counts, not_drawn=made.faults, left_out=made.left_out)
    for sentence in made.left_out:
        error_console.print(f"[yellow]left out:[/] {shown(sentence)}")
    for fault in made.faults[:_FAULTS_SHOWN]:
        error_console.print(f"[yellow]not drawn:[/] {shown(fault)}")
    if len(made.faults) > _FAULTS_SHOWN:
        error_console.print(f"... and {len(made.faults) - _FAULTS_SHOWN:,} more crops that cannot be read")
    told = results(as_json=as_json, quiet=quiet)
    members = f"{made.members:,} of {made.planned_members:,} members who have a crop"
    told.print(f"{shown(out)}: {made.frames:,} frames that show {members}; they are approximate")
