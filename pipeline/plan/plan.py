"""Frames to shards: how many shards a cell has, which frames each holds, in which order."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.options import Options
from pipeline.plan.cuts import balanced_cuts
from pipeline.plan.digest import digest_arrays, digest_json, digest_table
from pipeline.sources.catalog import Catalog
from shards_spec.errors import UsageError
from shards_spec.manifest import MAX_SHARDS
from shards_spec.rejects import encode_rejects
from shards_spec.shuffle_hash import shuffled_order
from shards_spec.version import SPEC_VERSION

ADJACENT_FRAMES = 64
"""Frames that ``--shuffle frames`` leaves together: 14 MB of City1M, so that reads stay large."""

LARGEST_GROUP = 100_000
"""Samples of a group that is left whole, a hundred times what City1M's have. A larger one is parted: labels that put
every frame into one group would make one shard, in the memory of one worker."""

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to be made."""

    cell: str
    number: int
    """In its cell, from 0."""
    rows: _Int64
    """Its frames as rows of the catalog, in the order in which they are written."""
    samples: int
    """As planned: frames may turn out to be damaged."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a conversion will write."""

    catalog: Catalog
    options: Options
    versions: Mapping[str, str]
    """The versions that bear on the bytes."""
    shards: tuple[ShardPlan, ...]
    """By cell, then number."""
    digest: str
    """SHA-256 over everything that bears on the output, hex."""

    def slice(self, shard: ShardPlan) -> pa.Table:
        """The shard's rows of the catalog, in the order in which they are written, in memory of their own."""
        return self.catalog.frames.take(pa.array(shard.rows))


def make_plan(catalog: Catalog, options: Options, versions: Mapping[str, str]) -> Plan:
    """Share the frames of a catalog out over shards.

    Args:
        catalog: What there is.
        options: The samples a shard, the order and the seed bear on the plan; the others only on its digest.
        versions: Names to versions of what bears on the output's bytes.

    Raises:
        UsageError: there would be more shards than a manifest holds.
    """
    shards = tuple(_plan_shards(catalog, options))
    if len(shards) > MAX_SHARDS:
        raise UsageError(
            f"--samples-per-shard {options.samples_per_shard}: makes {len(shards):,} shards, but a set has at most "
            f"{MAX_SHARDS:,}: give a larger number"
        )
    planned = sum(len(shard.rows) for shard in shards)
    if planned != catalog.frames.num_rows:
        raise AssertionError(f"{planned} frames planned of {catalog.frames.num_rows}")
    return Plan(catalog, options, dict(versions), shards, _digest(catalog, options, versions, shards))


def _plan_shards(catalog: Catalog, options: Options) -> Iterator[ShardPlan]:
    encoded = catalog.frames.column("cell").combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    sizes = pc.list_value_length(catalog.frames.column("person_ids")).to_numpy().astype(np.int64)
    for code, cell in sorted(enumerate(encoded.dictionary.to_pylist()), key=lambda item: str(item[1])):
        rows = np.flatnonzero(codes == code)
        shuffle = _cell_shuffle(catalog, options, cell)
        is_grouped = shuffle == "groups"
        units = _part_large(_group_units(catalog, rows), sizes[rows]) if is_grouped else np.arange(len(rows))
        yield from _plan_cell(cell, rows, sizes[rows], units, shuffle, options)


def _cell_shuffle(catalog: Catalog, options: Options, cell: str) -> Literal["groups", "frames", "none"]:
    """How a cell is shuffled: by groups under ``auto`` where it belongs to a train split."""
    if options.shuffle != "auto":
        return options.shuffle
    is_train = any("train" in splits for splits in catalog.cell_splits[cell].values())
    return "groups" if is_train else "none"


def _group_units(catalog: Catalog, rows: _Int64) -> _Int64:
    """Each frame's group as its rank among the sorted ids of the cell's groups, ``[rows]``."""
    encoded = catalog.frames.column("group_id").take(pa.array(rows)).combine_chunks().dictionary_encode()
    ranks = np.empty(len(encoded.dictionary), np.int64)
    ranks[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(ranks))
    units: _Int64 = ranks[encoded.indices.to_numpy()]
    return units


def _part_large(units: _Int64, sizes: _Int64) -> _Int64:
    """Number units anew so that those of more than ``LARGEST_GROUP`` samples are several, of adjacent frames each.

    Args:
        units: Number of each frame's unit, from 0.
        sizes: Each frame's samples.
    """
    if np.bincount(units, weights=sizes).max(initial=0) <= LARGEST_GROUP:
        return units
    order = np.argsort(units, kind="stable")
    begins = np.flatnonzero(np.diff(units[order], prepend=-1))
    before = np.cumsum(sizes[order]) - sizes[order]  # samples of the frames before each
    before -= np.repeat(before[begins], np.diff(begins, append=len(order)))
    pieces = np.empty_like(units)
    pieces[order] = before // LARGEST_GROUP
    _, parted = np.unique(np.stack([units, pieces]), axis=1, return_inverse=True)
    return parted.reshape(-1).astype(np.int64)


def _plan_cell(
    cell: str,
    rows: _Int64,
    sizes: _Int64,
    units: _Int64,
    shuffle: Literal["groups", "frames", "none"],
    options: Options,
) -> Iterator[ShardPlan]:
    """The shards of a cell.

    Args:
        cell: Its name.
        rows: Its frames, in physical order.
        sizes: Their samples.
        units: Number of the unit that each frame is in: what is not cut by a shard's end.
        shuffle: How frames are brought into order.
        options: Samples a shard, and the seed.
    """
    if shuffle == "groups":
        places = _inverse(shuffled_order(int(units.max()) + 1, options.seed, f"groups/{cell}"))[units]
        order = np.argsort(places, kind="stable")
    elif shuffle == "frames":
        blocks = np.arange(len(rows)) // ADJACENT_FRAMES
        places = _inverse(shuffled_order(int(blocks[-1]) + 1, options.seed, f"blocks/{cell}"))[blocks]
        order = np.argsort(places, kind="stable")
    else:
        order = np.arange(len(rows))
    begins = np.flatnonzero(np.diff(units[order], prepend=-1))  # where a unit begins, in order
    unit_sizes = np.add.reduceat(sizes[order], begins)
    shards = min(-(-int(sizes.sum()) // options.samples_per_shard), len(unit_sizes))
    cuts = np.append(begins, len(rows))[balanced_cuts(unit_sizes, shards)]
    for number in range(shards):
        part = np.sort(order[cuts[number] : cuts[number + 1]])
        if shuffle != "none":
            part = part[shuffled_order(len(part), options.seed, f"shard/{cell}/{number}")]
        yield ShardPlan(cell, number, rows[part], int(sizes[part].sum()))


def _inverse(order: _Int64) -> _Int64:
    """The place of each thing in ``order``."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _digest(catalog: Catalog, options: Options, versions: Mapping[str, str], shards: tuple[ShardPlan, ...]) -> str:
    """Hash everything that bears on the output."""
    return digest_json(
        {
            "spec": SPEC_VERSION,
            "versions": dict(versions),
            "options": options.output_bearing(),
            "variant": catalog.variant,
            "dataset": catalog.dataset,
            "decisions": catalog.decisions,
            "protocols": catalog.protocols,
            "cell_splits": catalog.cell_splits,
            "archives": catalog.archives,
            "labels": catalog.labels,
            "counts": [
                catalog.label_lines,
                catalog.label_lines_rejected,
                catalog.labelled_frames,
                catalog.labelled_members,
                catalog.rejected_frames,
                catalog.rejected_members,
            ],
            "notes": catalog.notes,
            "rejects": hashlib.sha256(encode_rejects(catalog.rejects)).hexdigest(),
            "frames": digest_table(catalog.frames),
            "shards": [(shard.cell, shard.number, len(shard.rows), shard.samples) for shard in shards],
            "rows": digest_arrays(shard.rows for shard in shards),
        }
    )
