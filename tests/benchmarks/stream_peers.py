"""Other readers of the same samples, each as its documentation recommends and without shuffling.

webdataset and wids read the set's own shards. litdata and mosaicml-streaming need the samples in formats of their own,
and many packages: they are compared where they are installed, beside PyTorch and Pillow-SIMD.
"""

import functools
import importlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import webdataset
import wids  # type: ignore[import-untyped]
from PIL import Image
from torch.utils.data import DataLoader, default_collate

from shards_spec.stream import Dataset
from shards_spec.stream.export import write_wids

SIZE = (256, 128)
BATCH = 64
WORKERS = 2
OPTIONAL = {"litdata": "litdata==0.2.76", "streaming": "mosaicml-streaming==0.13.0"}
"""Peers that may not be there: the module's name, and what pip calls it."""

parse = msgspec.json.Decoder(dict[str, Any]).decode


class Peer(NamedTuple):
    """A reader."""

    name: str
    samples: Callable[[], Iterable[Any]]
    """An epoch in this process: images and sidecars as bytes."""
    sidecar: Callable[[Any], bytes]
    """A sample's."""
    loader: Iterable[Any]
    """An epoch of decoded batches, [64, 256, 128, 3] uint8, by two workers that live on."""


def resized(data: bytes, roi: tuple[int, int, int, int]) -> Image.Image:
    """A person, decoded, cut and resized by hand."""
    left, top, width, height = roi
    with Image.open(io.BytesIO(data)) as image:
        box = (left, top, left + width, top + height)
        return image.crop(box).resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR)


def decode(sample: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """What every peer hands out of a sample."""
    return np.asarray(resized(sample["jpg"], parse(sample["json"])["roi"]))


def peers(dataset: Dataset, folder: Path) -> Iterator[Peer | str]:
    """All that there are, of a set's train split; of those that are not installed, what to do about it.

    Args:
        dataset: To be read.
        folder: For copies in other formats.
    """
    yield _webdataset(dataset)
    yield _wids(dataset, folder / "wids")
    for module, make in (("litdata", _litdata), ("streaming", _streaming)):
        try:
            library = importlib.import_module(module)
        except ImportError as error:
            yield f"{OPTIONAL[module].split('==')[0]}: {error}; pip install {OPTIONAL[module]} to compare"
        else:
            yield make(library, dataset, folder / module)


def _loader(samples: Any) -> DataLoader[Any]:
    return DataLoader(samples, BATCH, num_workers=WORKERS, persistent_workers=True)


def _webdataset(dataset: Dataset) -> Peer:
    def samples() -> Any:
        return webdataset.WebDataset(dataset.urls(), shardshuffle=False)

    batches = samples().map(decode).batched(BATCH, collation_fn=default_collate)
    loader = webdataset.WebLoader(batches, batch_size=None, num_workers=WORKERS, persistent_workers=True)
    return Peer("webdataset", samples, lambda sample: sample["json"], loader)


def _wids(dataset: Dataset, folder: Path) -> Peer:
    write_wids(dataset, folder)

    def opened(*transformations: Callable[[Any], Any]) -> Any:
        index = str(folder / "wids-p1-train.json")
        return wids.ShardListDataset(index, cache_dir=str(folder / "cache"), transformations=list(transformations))

    def pixels(sample: dict[str, io.BytesIO]) -> npt.NDArray[np.uint8]:
        return decode({name: sample[f".{name}"].read() for name in ("jpg", "json")})

    raw = opened()
    return Peer(
        "wids",
        lambda: (raw[place] for place in range(len(raw))),
        lambda sample: sample[".json"].read(),
        _loader(opened(pixels)),
    )


def _members(url: str) -> Iterator[dict[str, Any]]:
    for sample in webdataset.WebDataset(url, shardshuffle=False):
        yield {name: sample[name] for name in ("__key__", "jpg", "json")}


def _litdata(litdata: Any, dataset: Dataset, folder: Path) -> Peer:
    litdata.optimize(
        fn=_members,
        inputs=dataset.urls(),
        output_dir=str(folder),
        chunk_bytes="64MB",
        num_workers=1,
        start_method="fork",  # which it makes everybody's, PyTorch's too
        verbose=False,
    )
    opened = functools.partial(litdata.StreamingDataset, str(folder), shuffle=False)
    loader = litdata.StreamingDataLoader(
        opened(transform=decode), batch_size=BATCH, num_workers=WORKERS, persistent_workers=True
    )
    return Peer("litdata", opened, lambda sample: sample["json"], loader)


def _streaming(streaming: Any, dataset: Dataset, folder: Path) -> Peer:
    columns = {"__key__": "str", "jpg": "bytes", "json": "bytes"}
    with streaming.MDSWriter(out=str(folder), columns=columns) as writer:
        for url in dataset.urls():
            for sample in _members(url):
                writer.write(sample)

    class Decoded(streaming.StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, place: Any) -> Any:
            return decode(super().__getitem__(place))

    raw = streaming.StreamingDataset(local=str(folder), shuffle=False, batch_size=BATCH)
    decoded = Decoded(local=str(folder), shuffle=False, batch_size=BATCH)
    return Peer("mosaicml-streaming", lambda: raw, lambda sample: sample["json"], _loader(decoded))
