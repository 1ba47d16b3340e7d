"""From frames to shards: how many shards a cell has, which frames each of them holds, and in which order."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
from shards_spec.options import CellShuffle, resolve_shuffle
from shards_spec.rejects import encode_rejects
from shards_spec.shuffle_hash import shuffled_order
from shards_spec.version import SPEC_VERSION

ADJACENT_FRAMES = 64
"""Adjacent frames that ``--shuffle units`` keeps together, so that reads stay large: 14 MB of City1M."""

LARGEST_GROUP = 100_000
"""Samples of the largest group that is never split, a hundred times more than City1M's groups have. A larger group is
split, because labels that put every frame into one group would otherwise make one shard, in the memory of one
worker."""

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard that is planned."""

    cell: str
    number: int
    """The shard's number within its cell, from 0."""
    rows: _Int64
    """Its frames as row numbers of the catalog, in the order in which they are written."""
    samples: int
    """Planned number of samples. The shard may get fewer, because frames can turn out to be damaged."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a conversion will write."""

    catalog: Catalog
    options: Options
    versions: Mapping[str, str]
    """Versions of everything that affects the bytes of the output, by name."""
    shards: tuple[ShardPlan, ...]
    """All shards, sorted by cell, then by number."""
    digest: str
    """SHA-256, in hex, of everything that affects the output."""

    def slice(self, shard: ShardPlan) -> pa.Table:
        """Return a copy of the shard's rows of the catalog, in the order in which they are written."""
        return self.catalog.frames.take(pa.array(shard.rows))


def make_plan(catalog: Catalog, options: Options, versions: Mapping[str, str]) -> Plan:
    """Distribute the frames of a catalog over shards.

    Args:
        catalog: What the source holds.
        options: The options of the conversion. The number of samples a shard, the shuffle and the seed shape the plan;
            the others only affect its digest.
        versions: Versions of everything that affects the bytes of the output, by name.

    Raises:
        UsageError: There would be more shards than a manifest holds.
    """
    shards = tuple(_plan_shards(catalog, options))
    if len(shards) > MAX_SHARDS:
        raise UsageError(
            f"--samples-per-shard {options.common.samples_per_shard}: makes {len(shards):,} shards, but a set has at "
            f"most {MAX_SHARDS:,}: give a larger number"
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
        shuffle = resolve_shuffle(options.common.shuffle, catalog.cell_splits[cell])
        is_grouped = shuffle == "groups"
        units = _part_large(_group_units(catalog, rows), sizes[rows]) if is_grouped else np.arange(len(rows))
        yield from _plan_cell(cell, rows, sizes[rows], units, shuffle, options)


def _group_units(catalog: Catalog, rows: _Int64) -> _Int64:
    """Return, for each frame, the rank of its group among the cell's sorted group ids, ``[rows]``."""
    encoded = catalog.frames.column("group_id").take(pa.array(rows)).combine_chunks().dictionary_encode()
    ranks = np.empty(len(encoded.dictionary), np.int64)
    ranks[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(ranks))
    units: _Int64 = ranks[encoded.indices.to_numpy()]
    return units


def _part_large(units: _Int64, sizes: _Int64) -> _Int64:
    """Renumber units so that those of more than ``LARGEST_GROUP`` samples become several units of adjacent frames.

    Args:
        units: The number of each frame's unit, from 0.
        sizes: The number of samples of each frame.
    """
    if np.bincount(units, weights=sizes).max(initial=0) <= LARGEST_GROUP:
        return units
    order = np.argsort(units, kind="stable")
    begins = np.flatnonzero(np.diff(units[order], prepend=-1))
    before = np.cumsum(sizes[order]) - sizes[order]  # number of samples before each frame
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
    shuffle: CellShuffle,
    options: Options,
) -> Iterator[ShardPlan]:
    """Yield the shards of a cell.

    Args:
        cell: The name of the cell.
        rows: The cell's frames, in physical order.
        sizes: The number of samples of each frame.
        units: The number of each frame's unit. A unit is never divided between two shards.
        shuffle: How the frames are ordered.
        options: The options that give the number of samples a shard and the seed.
    """
    if shuffle == "groups":
        places = _inverse(shuffled_order(int(units.max()) + 1, options.common.seed, f"groups/{cell}"))[units]
        order = np.argsort(places, kind="stable")
    elif shuffle == "units":
        blocks = np.arange(len(rows)) // ADJACENT_FRAMES
        places = _inverse(shuffled_order(int(blocks[-1]) + 1, options.common.seed, f"blocks/{cell}"))[blocks]
        order = np.argsort(places, kind="stable")
    else:
        order = np.arange(len(rows))
    begins = np.flatnonzero(np.diff(units[order], prepend=-1))  # where each unit begins
    unit_sizes = np.add.reduceat(sizes[order], begins)
    shards = min(-(-int(sizes.sum()) // options.common.samples_per_shard), len(unit_sizes))
    cuts = np.append(begins, len(rows))[balanced_cuts(unit_sizes, shards)]
    for number in range(shards):
        part = np.sort(order[cuts[number] : cuts[number + 1]])
        if shuffle != "none":
            part = part[shuffled_order(len(part), options.common.seed, f"shard/{cell}/{number}")]
        yield ShardPlan(cell, number, rows[part], int(sizes[part].sum()))


def _inverse(order: _Int64) -> _Int64:
    """Return the position of each number in ``order``."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _digest(catalog: Catalog, options: Options, versions: Mapping[str, str], shards: tuple[ShardPlan, ...]) -> str:
    """Return the digest of everything that affects the output."""
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
            "accounts": catalog.accounts,
            "notes": catalog.notes,
            "rejects": hashlib.sha256(encode_rejects(catalog.rejects)).hexdigest(),
            "frames": digest_table(catalog.frames),
            "shards": [(shard.cell, shard.number, len(shard.rows), shard.samples) for shard in shards],
            "rows": digest_arrays(shard.rows for shard in shards),
        }
    )
