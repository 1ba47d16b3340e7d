"""What a source does: it surveys a folder, says what to read for each row of its catalog, and makes samples of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.archives import EntryFault, EntryRequest, Tasks
from pipeline.options import Options
from pipeline.samples import Outcome, Sample
from pipeline.sources.catalog import Catalog
from shards_spec.storage import Store
from shards_spec.tar import BLOCK

Content = bytes | EntryFault
"""The bytes of an entry, or the reason why it could not be read."""


class CatalogRow(Protocol):
    """A row of the catalog as an object: what becomes one unit, the samples that stand together in a shard."""

    @property
    def name(self) -> str:
        """The name by which rejects name the row."""

    @property
    def samples(self) -> int:
        """Number of samples that are planned for the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the samples of a cell have in common."""

    options: Options
    choices: Mapping[str, str]
    """What was decided where the source leaves a choice, by the name of the decision."""
    splits: dict[str, list[str]]
    """The sorted splits of the cell, by protocol."""


class Sizes(NamedTuple):
    """Bytes that a conversion reads and is expected to write."""

    read: int
    """Bytes of all entries of the catalog."""
    written: npt.NDArray[np.int64]
    """About how many bytes the samples of each row take in a shard, ``[rows]``."""


Row = TypeVar("Row", bound=CatalogRow)


class Converter(ABC, Generic[Row]):
    """The working part of a kind of source; ``Source.load`` gives it.

    It has no state: what a survey finds is in the catalog, and a worker process makes a converter of its own.
    """

    @abstractmethod
    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Find out what a folder holds.

        Args:
            source: The store with the source.
            options: The options of the conversion.
            progress: A function that is called with a sentence about the progress now and then.
            tasks: What does the parts of a long survey; None to do them here, one after the other.

        Raises:
            UsageError: The source cannot be converted.
            OSError: A store reports a fault.
        """

    def sizes(self, catalog: Catalog, options: Options) -> Sizes:  # noqa: ARG002
        """Return the bytes that a conversion reads and is expected to write, for ``plan`` to show.

        By default, the catalog's column ``size`` has the bytes of the entries of each row, which are taken over as they
        are, one sample with one file and a sidecar of up to 512 bytes.
        """
        sizes = catalog.rows["size"].to_numpy().astype(np.int64)
        return Sizes(int(sizes.sum()), sizes + 7 * BLOCK // 2)  # two headers, the sidecar, half a block of padding

    @abstractmethod
    def rows(self, table: pa.Table) -> list[Row]:
        """Return rows of the catalog as objects."""

    @abstractmethod
    def entries(self, row: Row) -> Sequence[EntryRequest]:
        """Return the entries to read for a row; at least one."""

    @abstractmethod
    def keys(self, row: Row) -> dict[str, int | str | None]:
        """Return the keys of the samples that are planned for a row, in order, each with its person.

        A reject that names this person loses this sample; one that names none loses all that are left of the row.
        """

    def lost_as(self, row: Row) -> dict[str, tuple[str, int | str | None]]:
        """Return, by key, how a reject names each sample that is planned for a row: by its name and its person.

        By default, rejects of samples have the name of the row, which must differ from that of any other row then.
        """
        return {key: (row.name, person) for key, person in self.keys(row).items()}

    @abstractmethod
    def make_samples(self, rows: Sequence[Row], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Make the samples of rows of one cell. This opens no file.

        Args:
            rows: A few rows.
            contents: For each row the contents of its entries.
            recipe: What the samples have in common.
        """

    @abstractmethod
    def comparison(
        self, row: Row, contents: Sequence[Content], recipe: Recipe, *, is_exact: bool
    ) -> Callable[[Sample], None]:
        """Return a function that compares a sample of a set with what it should have been made from.

        It must not rely on the code that makes samples, so that a fault of that code cannot hide itself.

        Args:
            row: The row of the sample.
            contents: The contents of its entries.
            recipe: What the samples have in common.
            is_exact: Whether the libraries that run here made the set, so that encoding again gives the same bytes.

        Returns:
            A function that raises ``SpecError`` if a sample is not what the source says.

        Raises:
            SpecError: There can be no sample of this row, because an entry is damaged.
        """
