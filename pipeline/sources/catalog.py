"""The catalog: what a source found, one row for each unit. A source makes it; the plan distributes it over shards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.base import Source
from shards_spec.cells import cell_name
from shards_spec.manifest import Account, Decision, SourceFile
from shards_spec.rejects import Noted, Reject, check_rejects
from shards_spec.variants import variant_named

_ALL = cell_name({"p1": ["all"]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a source holds, and which of it is already known to be lost.

    The accounts add up: what the source names is either kept, which means that it is to be converted, or rejected.
    """

    source: Source
    """The kind of the source."""
    rows: pa.Table
    """One row for each unit to convert, in the order in which the source is best read. A unit is what stands together
    in a shard: the crops of a frame, or a single sample.

    Every catalog has the columns ``cell`` (the name of the cell, a string) and ``samples`` (the number of samples that
    are planned for the row, an integer of at least 1). ``group`` is what shards do not part, a string; a row where it
    is null is a group of its own, and so is each row if there is no such column. All other columns are the source's own
    and say where to read the row and what its samples are. A column of strings that may have over 2 GiB is
    dictionary-encoded or of the type ``large_string``, because Arrow's strings have offsets of 32 bits. Each column has
    one chunk, so that slices are taken fast."""
    dataset: str
    """The name of the dataset, as the manifest has it."""
    archives: list[SourceFile]
    """The files that the rows are read from."""
    accounts: dict[str, Account]
    """What the source names, by the names of the variant's accounts and in their order. A unit is rejected if all of
    its samples are."""
    protocols: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {"p1": {"all": [_ALL]}})
    """The sorted names of the cells of each split ("train") of each protocol ("p1"). A source without splits has the
    one split "all"."""
    cell_splits: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {_ALL: {"p1": ["all"]}})
    """The sorted splits of each protocol, by cell, as sidecars have them."""
    labels: list[SourceFile] = field(default_factory=list)
    """The label files."""
    decisions: dict[str, Decision] = field(default_factory=dict)
    """Decisions on what the documentation of the dataset leaves open, by name."""
    rejects: list[Reject] = field(default_factory=list)
    """What is already known to be lost."""
    notes: dict[str, Noted] = field(default_factory=dict)
    """Count and examples of each ``Note`` that occurred; ``Notes.total`` gives them."""
    set_files: dict[str, bytes] = field(default_factory=dict)
    """Content of the files that the variant adds to a set, by path."""
    gaps: list[str] = field(default_factory=list)
    """Sentences about what the source seems to lack, such as an archive or a split. If there are any, the source is
    incomplete."""

    demo: bool = False
    """Whether the source is a look-alike of the dataset, drawn by ``reid-shards demo``."""

    @property
    def variant(self) -> str:
        """Return the name of the variant that the samples have."""
        return self.source.variant

    def check(self) -> None:
        """Check that all that the source names is a planned sample or covered by a reject.

        Raises:
            AssertionError: Something is not accounted for.
            UsageError: There are more rejects than a set can have.
        """
        check_rejects(len(self.rejects), "rejects: the labels and the archives seem not to belong together")
        variant = variant_named(self.variant)
        samples = pc.sum(self.rows.column("samples")).as_py() or 0
        counted = {variant.samples_account: samples}
        if variant.units_account is not None:
            counted[variant.units_account] = self.rows.num_rows
        for name, account in self.accounts.items():
            if account.total != account.kept + account.rejected or counted.get(name, account.kept) != account.kept:
                raise AssertionError(f"{name}: {account}, but {counted.get(name, account.kept)} are planned")
        lost = sum(reject.samples for reject in self.rejects)
        if lost != self.accounts[variant.samples_account].rejected:
            raise AssertionError(f"{self.accounts[variant.samples_account]}, but the rejects account for {lost}")


def row_values(table: pa.Table, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """Return the values of each row of a table in the columns of these names."""
    return zip(*column_values(table, names), strict=True)


def column_values(table: pa.Table, names: Sequence[str]) -> list[list[Any]]:
    """Return the values of the columns of these names."""
    return [_values(table[name].combine_chunks()) for name in names]


def _values(column: Any) -> list[Any]:
    """Return the values of a column. Equal values of a dictionary-encoded one are looked up, and so are one object."""
    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    names = column.dictionary.to_pylist()
    if column.null_count:
        return [None if code is None else names[code] for code in column.indices.to_pylist()]
    return [*map(names.__getitem__, column.indices.to_pylist())]


def first_reject(rejects: Sequence[Reject]) -> str:
    """Return the end of a message that says that nothing is left: the first of the rejects, if there are any."""
    if not rejects:
        return ""
    first = min(rejects, key=Reject.sort_key)
    return f"; {len(rejects):,} were rejected, such as {first.where}: {first.reason}: {first.detail}"
