"""The report of a set: what the page shows, gathered from the manifest, the indexes and a few ranged reads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.columns import Columns
from pipeline.report.histogram import Spread, spread
from pipeline.report.identities import Matching, People, Training
from pipeline.report.losses import Losses, read_losses
from pipeline.report.pictures import Picture, read_pictures
from pipeline.report.rows import UNKNOWN_CAMERA, SetRows, read_rows
from pipeline.report.shards import CellNumbers, cell_numbers
from pipeline.report.sheets import Group, Sheet, choose_groups, choose_sheets
from pipeline.report.splits import Overlap, SplitNumbers, overlaps, split_numbers
from shards_spec.errors import SpecError
from shards_spec.manifest import MANIFEST_FILE, Manifest
from shards_spec.manifest_read import decode_manifest, manifest_bytes
from shards_spec.storage import ReadableStore, Store
from shards_spec.verify.description import manifest_faults


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram and what it is of."""

    name: str
    title: str
    unit: str
    about: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class Category:
    """A field with a few values: how many samples have each."""

    name: str
    about: str
    counts: Mapping[str, int]
    unknown: int
    """Samples whose value is null."""


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """How many samples each camera took, by time of day."""

    times: Sequence[str]
    counts: Mapping[int, Sequence[int]]
    """Camera to its counts, in the order of ``times``."""

    @property
    def known(self) -> int:
        """Number of cameras, without the unknown one."""
        return len(self.counts.keys() - {UNKNOWN_CAMERA})


@dataclass(frozen=True, slots=True)
class Report:
    """What the page shows."""

    url: str
    manifest: Manifest
    faults: Sequence[tuple[str, str]]
    """File and fault of everything that was found to be wrong."""
    splits: Sequence[SplitNumbers]
    overlaps: Mapping[tuple[str, str], Overlap]
    cells: Sequence[CellNumbers]
    losses: Losses
    distributions: Sequence[Distribution]
    cameras: CameraCounts
    categories: Sequence[Category]
    columns: Columns
    identities: int
    training: Sequence[Training]
    matching: Sequence[Matching]
    sheets: Sequence[Sheet]
    groups: Sequence[Group]
    pictures: Mapping[int, Picture]
    images: bool
    """Whether the page shows images."""


def make_report(store: Store, *, images: bool, progress: Callable[[int], None] = lambda _: None) -> Report:
    """Gather what the page of a set shows.

    What is missing or damaged beside the manifest is a fault on the page, which then shows the rest.

    Args:
        store: Where the set lies.
        images: Whether to show images.
        progress: A function that is called with the number of rows read since the call before.

    Raises:
        UsageError: There is no set.
        SpecError: The manifest cannot be read, or contradicts itself.
    """
    manifest = _sound_manifest(store)
    rows = read_rows(store, manifest, progress)
    splits = split_numbers(manifest, rows)
    people = People(rows)
    losses = read_losses(store)
    sheets, groups = choose_sheets(rows), choose_groups(rows)
    wanted = [row for sheet in sheets for row in sheet.rows]
    wanted += [row for group in groups for _, of_person in group.people for row in of_person if row is not None]
    return Report(
        url=store.url,
        manifest=manifest,
        faults=[*rows.faults, *_file_faults(store, manifest), *_loss_faults(manifest, losses)],
        splits=splits,
        overlaps=overlaps(manifest, rows, splits),
        cells=cell_numbers(manifest, rows),
        losses=losses,
        distributions=list(_distributions(rows, people)),
        cameras=_camera_counts(rows),
        categories=[_category(rows, name, about) for name, about in rows.columns.categories.items()],
        columns=rows.columns,
        identities=len(rows.values(rows.columns.identity)),
        training=list(people.training(manifest)),
        matching=list(people.matching(manifest)),
        sheets=sheets,
        groups=groups,
        pictures=read_pictures(store, manifest, rows, wanted, images=images),
        images=images,
    )


def _sound_manifest(store: Store) -> Manifest:
    """Return the manifest; everything that is read after it relies on its names and counts."""
    data = manifest_bytes(store)
    manifest = decode_manifest(data, f"{store.url}/{MANIFEST_FILE}")
    for fault in manifest_faults(data, manifest):
        raise SpecError(
            f"{store.url}/{MANIFEST_FILE}: {fault}: reid-shards verify lists all that is wrong with the set"
        )
    return manifest


def _file_faults(store: ReadableStore, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the shards and other files that are missing or have another size than the manifest says."""
    expected = {shard.file: shard.bytes for cell in manifest.cells.values() for shard in cell.shards}
    expected |= {file: entry.bytes for file, entry in manifest.files.items()}
    found = {entry.path: entry.size for entry in store.list()}
    for file, size in expected.items():
        if file not in found:
            yield file, "is missing"
        elif found[file] != size:
            yield file, f"is {found[file]:,} bytes, but the manifest says {size:,}"


def _loss_faults(manifest: Manifest, losses: Losses) -> Iterator[tuple[str, str]]:
    if losses.fault is not None:
        yield "rejects.jsonl", losses.fault
    elif dict(losses.lines) != manifest.rejects:
        yield "rejects.jsonl", "its lines are not as many of each reason as the manifest says"


def _distributions(rows: SetRows, people: People) -> Iterator[Distribution]:
    """Yield the histograms of the page. A column without a value has none."""
    columns = rows.columns
    found: list[tuple[str, str, str, str, Spread | None]] = []
    if columns.image is not None:
        width, height = rows.numbers("width"), rows.numbers("height")
        with np.errstate(divide="ignore", invalid="ignore"):
            aspect = height / width
        stretch = "Loaders often stretch persons to 2 to 1, as 256 x 128 is."
        found += [
            (
                "height",
                "Height",
                "pixels",
                "Height of the person in the image, from the sidecar's roi.",
                spread(height),
            ),
            ("width", "Width", "pixels", "Width of the person in the image, from the sidecar's roi.", spread(width)),
            ("aspect", "Height to width", "", stretch, spread(aspect)),
        ]
    about = "Size of the image in the shard." if columns.image is not None else "Size of a sample's files in the shard."
    found.append(("bytes", "Size", "bytes", about, spread(rows.numbers("bytes"))))
    first = rows.table["begins_unit"]
    for name, meaning in columns.numbers.items():
        # How many samples a unit has is a number of the unit, not of each sample.
        values = rows.table[name].filter(first) if name == "members" else rows.table[name]
        kept = values.drop_null()
        found.append((name, title_of(name), "", meaning, spread(kept.to_numpy(), len(values) - len(kept))))
    found += [
        ("crops", "Samples of an identity", "", "Over the identities of the whole set.", people.crops()),
        ("seen", "Cameras of an identity", "", "How many cameras saw each identity.", people.cameras()),
    ]
    for name, title, unit, meaning, values in found:
        if values is not None and (name != "seen" or columns.camera is not None):
            yield Distribution(name, title, unit, meaning, values)


def title_of(field: str) -> str:
    """Return a field's name as a title: ``label_level`` as ``Label level``."""
    return field.replace("_", " ").capitalize()


def _camera_counts(rows: SetRows) -> CameraCounts:
    """Count the samples of each camera by time of day, or all in one where the time is not told."""
    if rows.columns.camera is None:
        return CameraCounts([], {})
    cameras, camera = np.unique(rows.cameras(), return_inverse=True)
    times = rows.values(rows.columns.time).to_pylist()
    codes = rows.codes(rows.columns.time)
    if (codes < 0).any() or not times:  # the last place is of the unknown time
        codes, times = np.where(codes < 0, len(times), codes), [*times, "unknown" if times else "samples"]
    pairs = np.bincount(camera * len(times) + codes, minlength=len(cameras) * len(times))
    table = pairs.reshape(len(cameras), len(times)).tolist()
    order = sorted(range(len(times)), key=lambda place: times[place])
    return CameraCounts(
        [times[place] for place in order],
        {int(name): [counts[place] for place in order] for name, counts in zip(cameras, table, strict=True)},
    )


def _category(rows: SetRows, name: str, about: str) -> Category:
    codes, names = rows.codes(name), rows.values(name).to_pylist()
    counts = np.bincount(codes[codes >= 0], minlength=len(names)).tolist()
    return Category(name, about, dict(sorted(zip(names, counts, strict=True))), int((codes < 0).sum()))


def camera_names(cameras: CameraCounts) -> list[str]:
    """Return the labels of the cameras' bars."""
    return [camera_name(camera) for camera in cameras.counts]


def camera_name(camera: int) -> str:
    """Return what a camera is called on the page."""
    return "unknown" if camera == UNKNOWN_CAMERA else str(camera)
