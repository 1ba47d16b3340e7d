"""From rows to shards: how many shards a cell has, which rows of the catalog each of them holds, and in which order."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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

ADJACENT_UNITS = 64
"""Adjacent units that ``--shuffle units`` keeps together, so that reads stay large: 14 MB of Full HD frames."""

LARGEST_GROUP = 100_000
"""Samples of the largest group that is never split, a hundred times more than groups of people have. A larger group is
split, because labels that put every unit into one group would otherwise make one shard, in the memory of one worker."""

_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard that is planned."""

    cell: str
    number: int
    """The shard's number within its cell, from 0."""
    rows: _Int64
    """Its units as row numbers of the catalog, in the order in which they are written."""
    samples: int
    """Planned number of samples. The shard may get fewer, because files can turn out to be damaged."""


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
        """Return a copy of the shard's rows of the catalog, in the order in which they are written.

        Dictionary-encoded columns have only the strings that occur in them.
        """
        rows = self.catalog.rows.take(pa.array(shard.rows))
        for position, field in enumerate(rows.schema):
            if pa.types.is_dictionary(field.type):
                chunks = [_with_used_strings(chunk) for chunk in rows.column(position).chunks]
                rows = rows.set_column(position, field, pa.chunked_array(chunks, field.type))
        return rows


def _with_used_strings(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a column of codes, whose dictionary has only the strings that occur, in the order in which they do."""
    used = column.indices.dictionary_encode()  # of numbers, which takes a fifth of the time of strings
    codes = used.indices.cast(column.type.index_type)
    return pa.DictionaryArray.from_arrays(codes, column.dictionary.take(used.dictionary))


def make_plan(catalog: Catalog, options: Options, versions: Mapping[str, str]) -> Plan:
    """Distribute the rows of a catalog over shards.

    Args:
        catalog: What the source holds.
        options: The options of the conversion. The number of samples a shard, the shuffle and the seed shape the plan;
            the others only affect its digest.
        versions: Versions of everything that affects the bytes of the output, by name.

    Raises:
        UsageError: There would be more shards than a manifest holds.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="digest") as pool:
        of_rows = pool.submit(digest_table, catalog.rows)  # it does not depend on the shards
        shards = tuple(_plan_shards(catalog, options))
        if len(shards) > MAX_SHARDS:
            raise UsageError(
                f"--samples-per-shard {options.common.samples_per_shard}: makes {len(shards):,} shards, but a set has "
                f"at most {MAX_SHARDS:,}: give a larger number"
            )
        planned = sum(len(shard.rows) for shard in shards)
        if planned != catalog.rows.num_rows:
            raise AssertionError(f"{planned} rows planned of {catalog.rows.num_rows}")
        digest = _digest(catalog, options, versions, shards, of_rows.result())
    return Plan(catalog, options, dict(versions), shards, digest)


def _plan_shards(catalog: Catalog, options: Options) -> Iterator[ShardPlan]:
    codes, cells = _encode(catalog.rows.column("cell"))
    has_groups = "group" in catalog.rows.column_names
    groups = _encode(catalog.rows.column("group"))[0] if has_groups else np.full(len(codes), -1)
    sizes = catalog.rows.column("samples").to_numpy().astype(np.int64)
    for code, cell in sorted(enumerate(cells), key=lambda item: item[1]):
        rows = np.flatnonzero(codes == code)
        if not len(rows):
            continue
        shuffle = resolve_shuffle(options.common.shuffle, catalog.cell_splits[cell])
        blocks = _part_large(_rank(groups[rows]), sizes[rows]) if shuffle == "groups" else np.arange(len(rows))
        yield from _plan_cell(cell, rows, sizes[rows], blocks, shuffle, options)


def _encode(column: pa.ChunkedArray) -> tuple[_Int64, list[str]]:
    """Replace strings by their ranks.

    Args:
        column: Strings, or codes of strings; ``[rows]``.

    Returns:
        The rank of each row's string among the sorted strings, -1 where it is null, ``[rows]``; and the sorted strings.
    """
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    encoded = encoded.unify_dictionaries()
    if not encoded.num_chunks:
        return np.zeros(0, np.int64), []
    strings = encoded.chunk(0).dictionary
    order = pc.array_sort_indices(strings)
    ranks = np.append(_inverse(order.to_numpy().astype(np.int64)), -1)  # a code of -1, for null, finds the last one
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return ranks[np.concatenate(codes)], strings.take(order).to_pylist()


def _rank(groups: _Int64) -> _Int64:
    """Renumber the groups of a cell from 0, in their order; a row without a group (-1) becomes a group of its own."""
    is_used = np.zeros(int(groups.max(initial=-1)) + 1, bool)
    is_alone = groups < 0
    is_used[groups[~is_alone]] = True
    ranks: _Int64 = (np.cumsum(is_used) - 1)[groups] if len(is_used) else groups.copy()
    ranks[is_alone] = np.count_nonzero(is_used) + np.arange(np.count_nonzero(is_alone))
    return ranks


def _part_large(groups: _Int64, sizes: _Int64) -> _Int64:
    """Renumber groups so that those of more than ``LARGEST_GROUP`` samples become several blocks of adjacent rows.

    Args:
        groups: The number of each row's group, from 0.
        sizes: The number of samples of each row.

    Returns:
        The number of each row's block, from 0.
    """
    if np.bincount(groups, weights=sizes).max(initial=0) <= LARGEST_GROUP:
        return groups
    order = np.argsort(groups, kind="stable")
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    before = np.cumsum(sizes[order]) - sizes[order]  # number of samples before each row
    before -= np.repeat(before[begins], np.diff(begins, append=len(order)))
    pieces = np.empty_like(groups)
    pieces[order] = before // LARGEST_GROUP
    _, parted = np.unique(np.stack([groups, pieces]), axis=1, return_inverse=True)
    return parted.reshape(-1).astype(np.int64)


def _plan_cell(
    cell: str,
    rows: _Int64,
    sizes: _Int64,
    blocks: _Int64,
    shuffle: CellShuffle,
    options: Options,
) -> Iterator[ShardPlan]:
    """Yield the shards of a cell.

    Args:
        cell: The name of the cell.
        rows: The cell's rows, in physical order.
        sizes: The number of samples of each row.
        blocks: The number of each row's block. A block is never divided between two shards.
        shuffle: How the rows are ordered.
        options: The options that give the number of samples a shard and the seed.
    """
    seed = options.common.seed
    if shuffle == "groups":
        order = np.argsort(_draw(blocks, seed, f"groups/{cell}"), kind="stable")
    elif shuffle == "units":
        order = np.argsort(_draw(np.arange(len(rows)) // ADJACENT_UNITS, seed, f"blocks/{cell}"), kind="stable")
    else:
        order = np.arange(len(rows))
    begins = np.flatnonzero(np.diff(blocks[order], prepend=-1))  # where each block begins
    block_sizes = np.add.reduceat(sizes[order], begins)
    shards = min(-(-int(sizes.sum()) // options.common.samples_per_shard), len(block_sizes))
    cuts = np.append(begins, len(rows))[balanced_cuts(block_sizes, shards)]
    for number in range(shards):
        part = np.sort(order[cuts[number] : cuts[number + 1]])
        if shuffle != "none":
            part = part[shuffled_order(len(part), seed, f"shard/{cell}/{number}")]
        yield ShardPlan(cell, number, rows[part], int(sizes[part].sum()))


def _draw(blocks: _Int64, seed: int, name: str) -> _Int64:
    """Return the position that the shuffle gives to the block of each row."""
    places = _inverse(shuffled_order(int(blocks.max()) + 1, seed, name))
    return places[blocks]


def _inverse(order: _Int64) -> _Int64:
    """Return the position of each number in ``order``."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _digest(
    catalog: Catalog, options: Options, versions: Mapping[str, str], shards: tuple[ShardPlan, ...], of_rows: str
) -> str:
    """Return the digest of everything that affects the output, given that of the catalog's rows."""
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
            "set_files": {file: hashlib.sha256(content).hexdigest() for file, content in catalog.set_files.items()},
            "notes": catalog.notes,
            "rejects": hashlib.sha256(encode_rejects(catalog.rejects)).hexdigest(),
            "rows": of_rows,
            "shards": [(shard.cell, shard.number, len(shard.rows), shard.samples) for shard in shards],
            "order": digest_arrays(shard.rows for shard in shards),
        }
    )
