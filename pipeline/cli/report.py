"""The command that makes a page of a set, or of two: ``report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.answers import JsonOption, QuietOption, print_json, progress, results
from pipeline.cli.console import EXIT_FAILED, console, error_console
from pipeline.cli.progress import ProgressLine
from pipeline.cli.shown import shown
from shards_spec.errors import UsageError
from shards_spec.requirements import require_jinja, require_pillow
from shards_spec.text import spell_bytes

if TYPE_CHECKING:
    from shards_spec.storage import Store


def report(
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of the set.", show_default=False)],
    other: Annotated[
        str | None,
        typer.Argument(metavar="[OTHER]", help="A second set, to compare with the first.", show_default=False),
    ] = None,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            dir_okay=False,
            help="File to write. A comparison and a set in an object store need one.",
            show_default="OUT/report.html",
        ),
    ] = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave out all images, for sets that may not be shown.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a page that shows what a set holds: counts, splits, identities, distributions, pictures and rejects.

    It is one HTML file that needs no network and no JavaScript. With OTHER, the page compares two sets.
    """
    require_jinja("report")
    if not no_images and other is None:
        require_pillow("report")
    from pipeline.report.difference import compare_reports
    from pipeline.report.page import Report, make_report
    from pipeline.report.render import render
    from shards_spec.layout import REPORT_FILE
    from shards_spec.manifest import MANIFEST_FILE
    from shards_spec.manifest_read import read_manifest
    from shards_spec.storage import is_remote, reach_store

    if to is None and (other is not None or is_remote(out)):
        what = "a comparison belongs to neither set" if other is not None else f"{out} is in an object store"
        raise UsageError(f"{what}: say where to write the page, such as --to report.html")

    found = error_console if as_json else console

    def gather(url: str, store: "Store", *, images: bool) -> Report:
        total = read_manifest(store).totals.samples
        with ProgressLine(progress(quiet=quiet), "report", total, "samples") as line:
            made = make_report(store, images=images, progress=line.update)
        for file, what in made.faults:
            found.print(f"[bold red]fault:[/] {shown(url)}: {shown(file)}: {shown(what)}")
        return made

    store = reach_store(out, MANIFEST_FILE)
    if other is None:
        reports = [gather(out, store, images=not no_images)]
        page = render("report", report=reports[0])
    else:
        stores = store, reach_store(other, MANIFEST_FILE)
        first, second = (gather(url, place, images=False) for url, place in zip((out, other), stores, strict=True))
        reports = [first, second]
        page = render("difference", difference=compare_reports(stores, (first, second)))
    where = to if to is not None else Path(out) / REPORT_FILE
    _write(page, where, store if to is None else None)
    faults = [{"set": made.url, "file": file, "what": what} for made in reports for file, what in made.faults]
    if as_json:
        print_json(command="report", file=where, bytes=len(page.encode()), faults=faults)
    told = results(as_json=as_json, quiet=quiet)
    told.print(f"{shown(where)}: {spell_bytes(len(page.encode()))}")
    told.print(f"open it in a browser: {shown(where.resolve().as_uri())}")
    if faults:
        found.print("The set is not as its manifest says: reid-shards verify lists all that is wrong with it.")
        raise typer.Exit(EXIT_FAILED)


def _write(page: str, file: Path, store: "Store | None") -> None:
    """Write a page to a file, which is whole at once if it lies in a set's store."""
    try:
        if store is None:
            file.write_text(page, encoding="utf-8")
        else:
            store.put(file.name, page.encode())
    except OSError as error:
        raise UsageError(f"the page cannot be written: {error}: name another file with --to") from error
