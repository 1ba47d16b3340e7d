"""Lists of a set's shards in the formats of other readers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from shards_spec.errors import SpecError, UsageError
from shards_spec.keys import KEY_PATTERN
from shards_spec.manifest import Cell
from shards_spec.storage import ReadableStore, open_buffered, open_store
from shards_spec.stream.dataset import Dataset
from shards_spec.stream.selection import protocol_name, split_cells
from shards_spec.variants import variant_named

_KEY = re.compile(KEY_PATTERN)


def wids_index(dataset: Dataset, protocol: int | str, split: str) -> dict[str, Any]:
    """Return the index that ``wids.ShardListDataset`` and ``webdataset.WebDataset("index.json")`` read.

    Raises:
        UsageError: There is no such protocol or split.
    """
    cells = split_cells(dataset.manifest, protocol, split)
    shards = [shard for cell in cells for shard in dataset.manifest.cells[cell].shards]
    return {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": f"{protocol_name(protocol)}-{split}",
        "shardlist": [
            {"url": url, "nsamples": shard.samples, "filesize": shard.bytes}
            for url, shard in zip(dataset.urls(protocol=protocol, split=split), shards, strict=True)
        ],
    }


def write_wids(dataset: Dataset, folder: Path) -> list[Path]:
    """Write ``wids-<protocol>-<split>.json`` for every split that has samples, and return the files.

    Args:
        dataset: Set to list.
        folder: Folder to write to. It must be outside the set, which contains only what its manifest names.

    Raises:
        UsageError: The folder is inside the set.
    """
    _make_folder(dataset, folder)
    written = []
    for protocol, splits in sorted(dataset.manifest.protocols.items()):
        for split in sorted(splits):
            index = wids_index(dataset, protocol, split)
            if index["shardlist"]:
                path = folder / f"wids-{index['name']}.json"
                path.write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n")
                written.append(path)
    return written


def write_dali(dataset: Dataset, folder: Path) -> list[Path]:
    """Write an index of each shard for DALI, and for every split with samples a list of its shards and their indexes.

    The indexes have the form that DALI's ``wds2idx`` writes (version 1.2): a line a sample with the extension, offset,
    size and name of each of its files. ``dali-<protocol>-<split>.json`` has the arguments ``paths`` and ``index_paths``
    of DALI's ``fn.readers.webdataset``.

    Args:
        dataset: Set to list.
        folder: Folder to write to. It must be outside the set, which contains only what its manifest names.

    Returns:
        The lists of the splits. The indexes lie beside them.

    Raises:
        UsageError: The folder is inside the set, or its samples have no image.
        SpecError: An index of the set cannot be read, or names something that is no key.
    """
    variant = variant_named(dataset.manifest.variant)
    if variant.image is None:
        raise UsageError(f"DALI decodes images: the samples of the variant {variant.name} have none")
    _make_folder(dataset, folder)
    store = open_store(dataset.url)
    for cell in dataset.manifest.cells.values():
        try:
            for shard, text in _dali_indexes(store, cell):
                (folder / f"{Path(shard).stem}.idx").write_text(text, encoding="ascii")
        except SpecError as error:
            raise SpecError(f"{cell.index.file}: {error}: reid-shards verify lists all that is wrong") from error
    written = []
    for protocol, splits in sorted(dataset.manifest.protocols.items()):
        for split, cells in sorted(splits.items()):
            if cells:
                shards = [shard.file for cell in cells for shard in dataset.manifest.cells[cell].shards]
                lists = {
                    "paths": dataset.urls(protocol=protocol, split=split),
                    "index_paths": [str(folder.absolute() / f"{Path(shard).stem}.idx") for shard in shards],
                }
                path = folder / f"dali-{protocol}-{split}.json"
                path.write_bytes(msgspec.json.format(msgspec.json.encode(lists), indent=2) + b"\n")
                written.append(path)
    return written


def _dali_indexes(store: ReadableStore, cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield the path of each shard of a cell and its index."""
    # Imported only here, because it imports PyArrow.
    from shards_spec.index_read import IndexReader, check_capacity  # noqa: PLC0415

    check_capacity(store, cell.shards)
    with open_buffered(store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
        names = index.schema.names
        extensions = [name.removesuffix("_offset") for name in names if name.endswith("_offset")]
        columns = [f"{extension}_{what}" for extension in extensions for what in ("offset", "size")]
        if not {"key", *columns} <= {*names} or not extensions:
            raise SpecError("it lacks the columns that say where files lie")
        for group, shard in enumerate(cell.shards):
            rows = index.read(group, shard, ["key", *columns])
            keys, *places = (rows[name].to_pylist() for name in ("key", *columns))
            lines = [f"v1.2 {shard.samples}"]
            for key, *numbers in zip(keys, *places, strict=True):
                if _KEY.fullmatch(key) is None:
                    raise SpecError(f"{key[:100]!r} is no key")
                files = zip(extensions, numbers[::2], numbers[1::2], strict=True)
                lines.append(
                    " ".join(f"{extension} {offset} {size} {key}.{extension}" for extension, offset, size in files)
                )
            yield shard.file, "\n".join(lines) + "\n"


def _make_folder(dataset: Dataset, folder: Path) -> None:
    """Make the folder that lists are written to, unless it is inside the set."""
    if "://" not in dataset.url and folder.resolve().is_relative_to(Path(dataset.url).resolve()):
        raise UsageError(f"{folder} lies in the set, which verify would then find a stranger in: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
