"""Open a set and choose what to stream from it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError, UsageError
from shards_spec.manifest import Manifest
from shards_spec.storage import RETRY_SECONDS, open_store
from shards_spec.stream.cache import CACHE_FOLDER, ShardCache, open_cache
from shards_spec.stream.fetch import Fetcher
from shards_spec.stream.index_cache import DamagedIndexError, SetIndex, default_folder
from shards_spec.stream.locate import locate_index
from shards_spec.stream.selection import (
    Selection,
    choose_split,
    label_groups,
    label_names,
    protocol_name,
    split_cells,
)
from shards_spec.stream.settings import OnError, Settings
from shards_spec.stream.sharing import Tail
from shards_spec.stream.source import SampleSource
from shards_spec.stream.views import IMAGENET_MEAN, IMAGENET_STD, Area, Decode, View
from shards_spec.variants.sysu30k.bags import BAGS_FILE, decode_bags

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from shards_spec.stream.pipeline import Stream


def open_dataset(
    url: str | Path,
    *,
    cache: bool | str | Path | None = None,
    cache_limit: int | None = None,
    retry_seconds: float = RETRY_SECONDS,
) -> "Dataset":
    """Open a set for reading.

    The set's index is copied once to ``$XDG_CACHE_HOME/reid-shards`` (``~/.cache/reid-shards``) and mapped into memory
    from there. Whenever the index of another set or a selection is added to that folder, whatever has not been opened
    for 30 days is removed from it.

    Args:
        url: Path of a folder, or URL of an object store.
        cache: Folder that keeps a local copy of what is read from the shards, which several sets and processes may
            share. True picks the folder ``shards`` beside the indexes. By default nothing is copied.
        cache_limit: Maximum size of that copy in bytes. By default the copy grows until it is as large as the free
            space that it leaves on the disk.
        retry_seconds: How long a request to an object store is retried after transient errors, before the sample is
            reported as an error.

    Raises:
        UsageError: There is no set at ``url``, the options contradict each other, or the disk has no room for a cache.
        SpecError: The manifest or the index of the set cannot be read.
    """
    if cache_limit is not None and not cache:
        raise UsageError(f"cache_limit={cache_limit} without a cache: name its folder, or pass cache=True")
    if not retry_seconds > 0:
        raise UsageError(f"retry_seconds={retry_seconds}: more than 0")
    location = str(url)
    if location and "://" not in location:
        # Each process that reads opens it again, perhaps in another working directory.
        location = str(Path(location).absolute())
    index = SetIndex(locate_index(location, default_folder(), retry_seconds))
    shard_cache = None
    if cache:
        folder = default_folder() / CACHE_FOLDER if cache is True else Path(cache).absolute()
        shard_cache = open_cache(folder, cache_limit, max((shard.bytes for shard in index.shards), default=0))
    return Dataset(location, index, shard_cache, retry_seconds)


class Dataset:
    """An opened set. ``open_dataset`` returns one."""

    def __init__(
        self, url: str, index: SetIndex, cache: ShardCache | None, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self.url = url
        self._index = index
        self._cache = cache
        self._retry_seconds = retry_seconds

    @property
    def manifest(self) -> Manifest:
        """The manifest of the set: its cells, shards, protocols and options."""
        return self._index.manifest

    def bags(self) -> "pa.Table":
        """Return the bags of a set with weak labels: ``bag_id``, ``labels`` (lists of int64), ``folders`` (of strings).

        Raises:
            UsageError: The set has no bags.
            SpecError: ``bags.json`` is not what the manifest says.
        """
        # Imported only here, because reading samples does not need them.
        import pyarrow as pa  # noqa: PLC0415

        if BAGS_FILE not in self._index.variant.set_files:
            raise UsageError(f"bags: sets of the variant {self._index.variant.name} have none")
        data = open_store(self.url, retry_seconds=self._retry_seconds).read_whole(BAGS_FILE)
        if hashlib.sha256(data).hexdigest() != self.manifest.files[BAGS_FILE].sha256:
            raise SpecError(f"{self.url}/{BAGS_FILE} is not what the manifest says: copy the set anew, or verify it")
        schema = pa.schema(
            [("bag_id", pa.string()), ("labels", pa.list_(pa.int64())), ("folders", pa.list_(pa.string()))]
        )
        return pa.Table.from_pylist([msgspec.structs.asdict(bag) for bag in decode_bags(data)], schema)

    def stream(  # noqa: PLR0913
        self,
        *,
        protocol: int | str = 1,
        split: str | None = None,
        where: "pc.Expression | None" = None,
        by: str = "sample",
        seed: int = 0,
        shuffle: bool = True,
        tail: Tail = "uneven",
        decode: Decode = "bytes",
        area: Area = "roi",
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        on_error: OnError = "raise",
        rank: int | None = None,
        world_size: int | None = None,
    ) -> "Stream":
        """Return the samples of a split as a webdataset pipeline.

        A sample is a dictionary as stock webdataset gives it: ``__key__``, the content of each file under its extension
        (``"jpg"``, or ``"0.png"`` and so on where the number of files varies), and the sidecar as ``"json"``, here
        parsed; and its ``label``.

        Args:
            protocol: Number or name of the protocol: ``1`` and ``"p1"`` mean the same.
            split: Name of a split, such as ``"train"`` or ``"gallery"``. By default ``"train"``, or the only
                split of the protocol.
            where: Expression over the columns of the index, e.g.
                ``(pc.field("camera") == 3) & (pc.field("box_h") > 80)``. Only samples for which it is true are read.
            by: ``"sample"`` yields one sample at a time. The name of the variant's unit, which is ``"frame"`` for
                ``city1m`` and ``boxes``, yields one unit at a time with all of its selected samples, and with
                ``group_label``, the number of its group among those of the split. In ``boxes``, splits belong to boxes:
                a frame whose boxes are in several cells, as those of queries are, comes once from each.
            seed: Seed of the shuffle. Together with the epoch it determines the order.
            shuffle: Whether to shuffle. If False, samples come in the order of the shards.
            tail: What to do if the samples do not divide evenly among ranks x workers. ``"uneven"`` yields each sample
                exactly once. ``"drop"`` gives all the same number and leaves some samples out. ``"pad"`` gives all the
                same number and repeats some samples, which are marked ``__repeat__``.
            decode: Form of the images: ``"bytes"``, ``"rgb"`` (``[height, width, 3]`` uint8) or ``"torch"``
                (``[3, height, width]`` float32, normalised).
            area: Part of the image to return: ``"roi"`` is the person's box, ``"crop"`` the whole image.
            size: Height and width in pixels to resize images to, after they are cut to ``area``. By default images keep
                their size.
            mean: Mean of each channel, for normalising under ``decode="torch"``.
            std: Standard deviation of each channel, for normalising under ``decode="torch"``.
            on_error: What to do with samples that cannot be read: ``"raise"`` raises an error that names the sample,
                ``"skip"`` leaves the sample out, logs it and counts it. In identity batches, another crop of the
                identity comes in its place and is marked ``__repeat__``.
            rank: Rank of this process. By default ``torch.distributed`` gives it, or the variable ``RANK``. With
                ``rank=0, world_size=1`` a process reads the whole split, as in an evaluation on one rank.
            world_size: Number of ranks. Give both ``rank`` and ``world_size``, or neither.

        Raises:
            UsageError: There is no such split, a value is out of range, or ``decode`` needs Pillow or PyTorch and it is
                not installed.
            ReidShardsError: The index of the set was removed after it was opened, or the selection cannot be written
                beside it.
        """
        variant = self._index.variant
        split = choose_split(self.manifest, protocol, split)
        if by not in {"sample", variant.unit}:
            raise UsageError(f"by={by!r}: one of {', '.join(dict.fromkeys(['sample', variant.unit]))}")
        if decode != "bytes" and variant.image is None:
            raise UsageError(f'decode="{decode}": the samples of the variant {variant.name} have no image')
        settings = Settings(
            seed=seed,
            shuffle=shuffle,
            tail=tail,
            by=by,
            label_field=variant.label_field(split),
            on_error=on_error,
            rank=rank,
            world_size=world_size,
            view=View(decode=decode, area=area, size=size, mean=tuple(mean), std=tuple(std)),
        )
        cells = split_cells(self.manifest, protocol, split)
        try:
            selection, labels, groups = self._select(protocol, split, where, by)
        except DamagedIndexError:
            self._index = SetIndex(locate_index(self.url, self._index.folder.parent, self._retry_seconds))
            selection, labels, groups = self._select(protocol, split, where, by)
        fetcher = Fetcher(
            self.url, self._index, self._cache, raising=on_error == "raise", retry_seconds=self._retry_seconds
        )
        source = SampleSource(fetcher, selection, labels, settings, groups)
        # Imported only here, because webdataset imports PyTorch if it is installed, which takes seconds.
        from shards_spec.stream.pipeline import Stream  # noqa: PLC0415

        return Stream(source, protocol_name(protocol), split, cells)

    def _select(
        self, protocol: int | str, split: str, where: "pc.Expression | None", by: str
    ) -> tuple[Selection, npt.NDArray[np.int32], Sequence[str]]:
        """Return the selection of a stream, the labels of its samples, and the groups of its units."""
        selection = Selection.make(self._index, split_cells(self.manifest, protocol, split), where, by)
        _, labels = label_names(self._index, protocol, split)
        return selection, labels, label_groups(self._index, protocol, split) if by != "sample" else ()

    def urls(self, *, protocol: int | str = 1, split: str | None = None) -> list[str]:
        """Return the URLs of a split's shards.

        Stock webdataset and Hugging Face's ``load_dataset("webdataset", ...)`` take such a list.
        """
        cells = split_cells(self.manifest, protocol, choose_split(self.manifest, protocol, split))
        root = self.url.rstrip("/")
        return [f"{root}/{shard.file}" for cell in cells for shard in self.manifest.cells[cell].shards]

    def __repr__(self) -> str:
        totals: Any = self.manifest.totals
        return f"Dataset({self.url!r}: {totals.samples:,} samples in {totals.shards:,} shards)"
