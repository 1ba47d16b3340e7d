"""A stream: a webdataset pipeline whose first stage yields this process's share of an epoch."""

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
from shards_spec.stream.selection import label_groups, label_names
from shards_spec.stream.source import SampleSource
from shards_spec.stream.state import decode_state, encode_state

if TYPE_CHECKING:
    from shards_spec.stream.loader import Loader


_FOLDER = "folder"
"""The field that labels number in splits whose folders are known, but not who is in them."""


class Stream(DataPipeline, FluidInterface):  # type: ignore[misc]
    """Samples as dictionaries; ``.map()``, ``.batched()`` and webdataset's other stages work as usual.

    Each iteration is the next epoch. This also holds for copies that ``.map()`` makes, and for workers that outlive an
    epoch. Use a stream in one thread only.
    """

    def __init__(self, source: SampleSource, protocol: str, split: str, cells: Sequence[str]) -> None:
        super().__init__(source)
        self._selected = protocol, split, tuple(cells)

    @property
    def source(self) -> SampleSource:
        """The first stage of the pipeline."""
        source: SampleSource = self.pipeline[0]
        return source

    @property
    def label_level(self) -> str | None:
        """What labels number: ``"identity"``, ``"folder"`` where the split is weakly labelled, or None for nothing."""
        return self.source.settings.label_field

    @property
    def identities(self) -> list[str]:
        """The identities that labels stand for: label ``n`` is the identity at index ``n``.

        There are none where labels number something else (see ``label_level``).

        Raises:
            ReidShardsError: The index of the set was removed after it was opened.
        """
        is_known = self.label_level == self.source.selection.index.variant.identity_field
        return self.label_names if is_known else []

    @property
    def label_names(self) -> list[str]:
        """What labels stand for, identities or folders (see ``label_level``): label ``n`` is the name at index ``n``.

        Raises:
            ReidShardsError: The index of the set was removed after it was opened.
        """
        protocol, split, _ = self._selected
        return label_names(self.source.selection.index, protocol, split)[0]

    @property
    def groups(self) -> list[str]:
        """The groups that ``group_label`` stands for, under ``by="frame"``: label ``n`` is the group at index ``n``.

        Raises:
            ReidShardsError: The index of the set was removed after it was opened.
        """
        protocol, split, _ = self._selected
        return label_groups(self.source.selection.index, protocol, split)

    @property
    def skipped(self) -> int:
        """Number of samples that ``on_error="skip"`` has left out, in all workers, since the stream was made."""
        return self.source.position.control.skipped

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration, or the one that a loaded state resumes."""
        return self.source.position.control.next_iteration()[0]

    def set_epoch(self, epoch: int) -> None:
        """Begin the next iteration at the start of this epoch.

        Raises:
            UsageError: The epoch is not a whole number from 0 to 2^63 - 1.
        """
        self.source.position.control.set(epoch)

    def __iter__(self) -> Iterator[Any]:
        self.source.position.cursor = None
        iterator: Iterator[Any] = super().__iter__()
        return iterator

    def batched(
        self,
        batchsize: int,
        collation_fn: Callable[[list[Any]], Any] | None = default_collation_fn,
        partial: bool = True,
    ) -> "Stream":
        """Group samples into batches.

        Unlike webdataset's own stage, this one yields a batch as soon as it is full, before it takes the next sample,
        so that a state never counts a sample too many.

        Args:
            batchsize: Number of samples in a batch.
            collation_fn: Function that makes a batch from a list of samples. If None, batches are lists.
            partial: Whether to yield a last batch that is not full.

        Raises:
            UsageError: The size is not a whole number of at least 1.
        """
        size = whole_number("batchsize", batchsize)
        if size < 1:
            raise UsageError(f"batchsize={size}: at least 1")
        stream: Stream = self.compose(Batched(size, collation_fn, partial))
        return stream

    def decode(self, *handlers: Any, partial: bool = True, **options: Any) -> "Stream":
        """Decode what is still bytes, as webdataset's own stage does: ``.decode("pil")`` makes Pillow images.

        Sidecars and labels are no bytes. webdataset's own default, ``partial=False``, is an error for them.

        Args:
            handlers: Functions of a file's extension and its bytes, or names of webdataset's, such as ``"pil"``.
            partial: Whether to leave alone what is not bytes.
            options: Further options of webdataset's stage: ``pre``, ``post``, ``only``, ``handler``.
        """
        stream: Stream = super().decode(*handlers, partial=partial, **options)
        return stream

    def listed(self, batchsize: int, partial: bool = True) -> "Stream":
        """Group samples into lists. See ``batched``."""
        return self.batched(batchsize, None, partial)

    def identity_batches(self, identities: int, per_identity: int) -> "Stream":
        """Order the samples in batches of identities, with the crops of an identity side by side.

        Every batch has exactly ``identities`` identities and ``per_identity`` crops of each, from several cameras if
        the identity has several. Every identity occurs at least once in an epoch. A crop that is repeated is marked
        ``__repeat__``. Samples are still yielded one by one: ``.loader()`` groups them into batches, as does
        ``.batched(identities * per_identity)``.

        Raises:
            UsageError: The set is not shuffled by groups, the selection has too few identities, or the split is weakly
                labelled, so that nobody knows who is who.
        """
        sizes = whole_number("identities", identities), whole_number("per_identity", per_identity)
        variant = self.source.selection.index.variant
        if variant.identity_field is None:
            raise UsageError(f"identity batches: the samples of the variant {variant.name} have no identities")
        if self.label_level != variant.identity_field:
            raise UsageError(
                f"identity batches: the split {self._selected[1]} ({', '.join(self._selected[2])}) is weakly labelled: "
                f"its samples have a {self.label_level}, and nobody knows who is who. Use {self.label_level}_batches()"
            )
        return self._batches_of_labels(sizes)

    def folder_batches(self, folders: int, per_folder: int) -> "Stream":
        """Order the samples of a weakly labelled split in batches of folders, as ``identity_batches`` does identities.

        Every batch has exactly ``folders`` folders and ``per_folder`` samples of each. The bags of a sample's folder
        are in its sidecar, and ``Dataset.bags()`` has their labels.

        Raises:
            UsageError: Labels of the split are identities, the set is not shuffled by groups, or the selection has too
                few folders.
        """
        sizes = whole_number("folders", folders), whole_number("per_folder", per_folder)
        if self.label_level != _FOLDER:
            raise UsageError(
                f"folder batches: the labels of the split {self._selected[1]} number {self.label_level or 'nothing'}, "
                "not folders" + (": use identity_batches()" if self.label_level else "")
            )
        return self._batches_of_labels(sizes)

    def _batches_of_labels(self, sizes: tuple[int, int]) -> "Stream":
        check_identity_sets(self.source.selection.index.manifest, self._selected[2])
        other: Stream = self.compose()
        other.pipeline[0] = self.source.with_batches(*sizes)
        return other

    def loader(self, batch_size: int | None = None, num_workers: int = 0, **options: Any) -> "Loader":
        """Return a PyTorch ``DataLoader`` over this stream whose state can be saved.

        A batch is a dictionary of columns, with None in the place of a file that only other samples of the batch have.

        Args:
            batch_size: Number of samples in a batch. Leave it out for identity batches, which have a fixed size, and
                for pipelines that make batches themselves.
            num_workers: Number of processes that read. With 0, the calling process reads.
            options: Further options of ``DataLoader``: ``drop_last`` (drops the one batch of a rank and epoch that may
                not be full, however many workers there are), ``persistent_workers``, ``pin_memory``,
                ``multiprocessing_context`` (default for a set in an object store: ``"forkserver"`` where it would be
                ``"fork"``), ``prefetch_factor``, ``collate_fn`` (default: ``shards_spec.stream.transfer.collate``), ...

        Raises:
            UsageError: PyTorch is not installed, or an option would change which samples are yielded or in which order.
        """
        require_torch(".loader()")
        # Imported only here, because it imports PyTorch, which takes seconds and need not be installed.
        from shards_spec.stream.loader import Loader  # noqa: PLC0415

        return Loader(self, batch_size, num_workers, options)

    def state_dict(self, batches: int | None = None, batch_size: int = 1, num_workers: int = 0) -> dict[str, Any]:
        """Return the position of the iteration, so that a later run can resume there.

        Without arguments, the position counts what this process has yielded. That is right for a plain ``for`` loop
        and, inside a worker, for torchdata's ``StatefulDataLoader``. A plain ``DataLoader`` reads ahead, so pass the
        number of its batches that were used. A sample counts as soon as the first stage behind the source has taken it,
        even if an error then keeps that stage from yielding it.

        Args:
            batches: Number of batches that the caller has received since the last iteration of this stream began.
            batch_size: Batch size of the ``DataLoader``, or of the batches that the pipeline makes.
            num_workers: Number of workers of the ``DataLoader``.

        Raises:
            UsageError: ``batches`` was given before any iteration began, or for an iteration that skipped samples.
        """
        position = self.source.position
        if batches is None:
            return encode_state(position.state())
        return encode_state(position.state_after(batches, batch_size, num_workers))

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Resume from a state in the next iteration. A state taken at the end of an epoch begins the next epoch.

        Args:
            state: Return value of ``state_dict()``, or a list of the return values on all ranks.

        Raises:
            UsageError: The state belongs to a different order, or is damaged.
        """
        source = self.source
        source.position.load(decode_state(state, source.order.description))
