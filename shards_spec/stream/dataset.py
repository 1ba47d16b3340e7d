"""Opening a set to stream from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shards_spec.errors import UsageError
from shards_spec.manifest import Manifest
from shards_spec.stream.cache import ShardCache
from shards_spec.stream.fetch import Fetcher
from shards_spec.stream.index_cache import DamagedIndexError, SetIndex, default_folder
from shards_spec.stream.locate import locate_index
from shards_spec.stream.selection import Selection, Unit, label_identities, protocol_name, split_cells
from shards_spec.stream.settings import OnError, Settings
from shards_spec.stream.sharing import Tail
from shards_spec.stream.source import Source
from shards_spec.stream.views import IMAGENET_MEAN, IMAGENET_STD, Area, Decode, View

if TYPE_CHECKING:
    import pyarrow.compute as pc

    from shards_spec.stream.pipeline import Stream


def open_dataset(url: str | Path, *, cache: str | Path | None = None, cache_limit: int | None = None) -> "Dataset":
    """Open a set for reading.

    Its index is copied once to ``$XDG_CACHE_HOME/reid-shards`` (``~/.cache/reid-shards``), to be mapped into memory.
    What nobody has opened there for 30 days is removed when the index of another set, or a selection, is added.

    Args:
        url: A folder's path or an object store's URL.
        cache: Folder for a local copy of what is read from the shards.
        cache_limit: Bytes that it may hold; goes with ``cache``.

    Raises:
        UsageError: there is no set, or the options make no sense.
        SpecError: its manifest or its index cannot be read.
    """
    if (cache is None) != (cache_limit is None):
        raise UsageError(f"cache={cache}, cache_limit={cache_limit}: give both or neither")
    location = str(url)
    if location and "://" not in location:
        # It is opened again in each process that reads, wherever that is by then.
        location = str(Path(location).absolute())
    index = SetIndex(locate_index(location, default_folder()))
    shard_cache = None
    if cache is not None and cache_limit is not None:
        shard_cache = ShardCache(
            Path(cache).absolute(), cache_limit, max((shard.bytes for shard in index.shards), default=0)
        )
    return Dataset(location, index, shard_cache)


class Dataset:
    """A set that was opened."""

    def __init__(self, url: str, index: SetIndex, cache: ShardCache | None) -> None:
        self.url = url
        self._index = index
        self._cache = cache

    @property
    def manifest(self) -> Manifest:
        """What the set consists of."""
        return self._index.manifest

    def stream(  # noqa: PLR0913
        self,
        *,
        protocol: int | str = 1,
        split: str = "train",
        where: "pc.Expression | None" = None,
        by: Unit = "sample",
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
        """The samples of a split, as a webdataset pipeline.

        Args:
            protocol: ``1`` or ``"p1"``.
            split: ``"train"``, ``"query"`` or ``"gallery"``.
            where: Of the index's columns, e.g. ``(pc.field("camera") == 3) & (pc.field("box_h") > 80)``: only these are
                read.
            by: ``"sample"``: a crop at a time; ``"frame"``: a frame with all its (selected) crops.
            seed: Of the order, with the epoch.
            shuffle: False for the shards' own order.
            tail: What happens where samples do not divide by ranks x workers. ``"uneven"``: each comes exactly once;
                ``"drop"``: all get equally many, some samples are left out; ``"pad"``: all get equally many, some
                samples come again, marked ``__repeat__``.
            decode: ``"bytes"``, ``"rgb"`` (``[height, width, 3]`` uint8) or ``"torch"`` (``[3, height, width]``
                float32).
            area: ``"roi"``, the person's box, or ``"crop"``, all that the image shows.
            size: Height and width to resize to.
            mean: Of the normalisation under ``"torch"``.
            std: Of the normalisation under ``"torch"``.
            on_error: ``"raise"`` names what cannot be read; ``"skip"`` leaves it out, logs and counts it.
            rank: Used where neither ``torch.distributed`` nor ``RANK`` in the environment says it.
            world_size: Goes with ``rank``.

        Raises:
            UsageError: there is no such split, the values make no sense, or Pillow or PyTorch is missing and ``decode``
                needs it.
            ReidShardsError: the set's index was removed meanwhile, or the selection cannot be kept beside it.
        """
        settings = Settings(
            seed=seed,
            shuffle=shuffle,
            tail=tail,
            by=by,
            on_error=on_error,
            rank=rank,
            world_size=world_size,
            view=View(decode=decode, area=area, size=size, mean=tuple(mean), std=tuple(std)),
        )
        cells = split_cells(self.manifest, protocol, split)
        try:
            selection = Selection.make(self._index, cells, where, by)
            _, labels = label_identities(self._index, protocol, split)
        except DamagedIndexError:
            self._index = SetIndex(locate_index(self.url, self._index.folder.parent))
            selection = Selection.make(self._index, cells, where, by)
            _, labels = label_identities(self._index, protocol, split)
        fetcher = Fetcher(self.url, self._index, self._cache, raising=on_error == "raise")
        source = Source(fetcher, selection, labels, settings)
        # Not at import time: webdataset imports PyTorch where that is installed, which takes seconds.
        from shards_spec.stream.pipeline import Stream  # noqa: PLC0415

        return Stream(source, protocol_name(protocol), split, cells)

    def urls(self, *, protocol: int | str = 1, split: str = "train") -> list[str]:
        """The shards of a split, for stock webdataset and for Hugging Face's ``load_dataset("webdataset", ...)``."""
        cells = split_cells(self.manifest, protocol, split)
        root = self.url.rstrip("/")
        return [f"{root}/{shard.file}" for cell in cells for shard in self.manifest.cells[cell].shards]

    def __repr__(self) -> str:
        totals: Any = self.manifest.totals
        return f"Dataset({self.url!r}: {totals.samples:,} samples in {totals.shards:,} shards)"
