"""A stream: a webdataset pipeline whose first stage hands out this process's share of an epoch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from webdataset.compat import FluidInterface
from webdataset.filters import default_collation_fn
from webdataset.pipeline import DataPipeline

from shards_spec.errors import UsageError
from shards_spec.requirements import require_torch
from shards_spec.stream.batched import Batched
from shards_spec.stream.identity_sets import check_identity_sets
from shards_spec.stream.integers import whole_number
from shards_spec.stream.selection import label_identities
from shards_spec.stream.source import Source
from shards_spec.stream.state import decode_state, encode_state

if TYPE_CHECKING:
    from shards_spec.stream.loader import Loader


class Stream(DataPipeline, FluidInterface):  # type: ignore[misc]
    """Samples as dictionaries; ``.map()``, ``.batched()`` and webdataset's other stages follow as usual.

    Each iteration is the next epoch, also where ``.map()`` made a copy and where workers live on. A stream is one
    thread's.
    """

    def __init__(self, source: Source, protocol: str, split: str, cells: Sequence[str]) -> None:
        super().__init__(source)
        self._selected = protocol, split, tuple(cells)

    @property
    def source(self) -> Source:
        """The first stage."""
        source: Source = self.pipeline[0]
        return source

    @property
    def identities(self) -> list[str]:
        """The identity that each label stands for: label n is the n-th.

        Raises:
            ReidShardsError: the set's index was removed meanwhile.
        """
        protocol, split, _ = self._selected
        return label_identities(self.source.selection.index, protocol, split)[0]

    @property
    def skipped(self) -> int:
        """Samples left out under ``on_error="skip"``, in all workers, since the stream was made."""
        return self.source.control.skipped

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration, or of the one that a loaded state goes on with."""
        return self.source.control.next_iteration()[0]

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration this epoch's, from its beginning.

        Raises:
            UsageError: there is no such epoch.
        """
        self.source.control.set(epoch)

    def __iter__(self) -> Iterator[Any]:
        self.source.cursor = None
        iterator: Iterator[Any] = super().__iter__()
        return iterator

    def batched(
        self,
        batchsize: int,
        collation_fn: Callable[[list[Any]], Any] | None = default_collation_fn,
        partial: bool = True,
    ) -> "Stream":
        """Batches of samples, as webdataset's, which would take the next sample before it hands out a batch.

        Raises:
            UsageError: the size is no whole number of at least 1.
        """
        size = whole_number("batchsize", batchsize)
        if size < 1:
            raise UsageError(f"batchsize={size}: at least 1")
        stream: Stream = self.compose(Batched(size, collation_fn, partial))
        return stream

    def listed(self, batchsize: int, partial: bool = True) -> "Stream":
        """Lists of samples; raises what ``batched`` does."""
        return self.batched(batchsize, None, partial)

    def identity_batches(self, identities: int, per_identity: int) -> "Stream":
        """The same samples in batches of ``identities`` x ``per_identity``, an identity's crops adjacent.

        Always that many identities and that many crops of each, of several cameras where there are several; every
        identity at least once an epoch. A crop that comes again is marked ``__repeat__``. Samples come one by one as
        before: ``.loader()`` batches them, as does ``.batched(identities * per_identity)``.

        Raises:
            UsageError: the set is not shuffled by groups, or has too few identities.
        """
        sizes = whole_number("identities", identities), whole_number("per_identity", per_identity)
        check_identity_sets(self.source.selection.index.manifest, self._selected[2])
        other: Stream = self.compose()
        other.pipeline[0] = self.source.with_batches(*sizes)
        return other

    def loader(self, batch_size: int | None = None, num_workers: int = 0, **options: Any) -> "Loader":
        """A PyTorch ``DataLoader`` over this stream whose state can be saved.

        Args:
            batch_size: Samples a batch; None for identity batches, which have their own, and for pipelines that make
                batches.
            num_workers: Processes that read; 0 reads in this one.
            options: Of ``DataLoader``: ``persistent_workers``, ``pin_memory``, ``multiprocessing_context``,
                ``prefetch_factor``, ``collate_fn`` (default: ``shards_spec.stream.loader.collate``), ...

        Raises:
            UsageError: PyTorch is missing, or an option would change what is handed out, or in which order.
        """
        require_torch(".loader()")
        # Imported only here, because it imports PyTorch, which takes seconds and need not be installed.
        from shards_spec.stream.loader import Loader  # noqa: PLC0415

        return Loader(self, batch_size, num_workers, options)

    def state_dict(self, batches: int | None = None, batch_size: int = 1, num_workers: int = 0) -> dict[str, Any]:
        """Where the iteration stands.

        Without arguments: what this process has handed out, as in a plain ``for`` loop or, in a worker, for torchdata's
        ``StatefulDataLoader``. With a ``DataLoader`` in between, which reads ahead, say how many of its batches were
        used. What a stage has taken counts, also where an error keeps it from handing that out.

        Args:
            batches: Batches handed to the caller since the iteration began, which was this stream's last.
            batch_size: The ``DataLoader``'s, or that of the pipeline's own batches.
            num_workers: The ``DataLoader``'s.

        Raises:
            UsageError: ``batches`` of no iteration, or of one that skipped samples.
        """
        source = self.source
        if batches is None:
            return encode_state(source.state())
        return encode_state(source.state_after(batches, batch_size, num_workers))

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Go on from a state in the next iteration; a state at the end of an epoch begins the next one.

        Args:
            state: What ``state_dict()`` returned, or a list of what it returned on each rank.

        Raises:
            UsageError: the state is of another order, or damaged.
        """
        self.source.load(decode_state(state, self.source.order_name))
