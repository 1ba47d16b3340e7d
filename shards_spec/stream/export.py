"""Lists of a set's shards in the formats of other readers."""

from pathlib import Path
from typing import Any

import msgspec

from shards_spec.errors import UsageError
from shards_spec.stream.dataset import Dataset
from shards_spec.stream.selection import protocol_name, split_cells


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
    if "://" not in dataset.url and folder.resolve().is_relative_to(Path(dataset.url).resolve()):
        raise UsageError(f"{folder} lies in the set, which verify would then find a stranger in: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for protocol, splits in sorted(dataset.manifest.protocols.items()):
        for split in sorted(splits):
            index = wids_index(dataset, protocol, split)
            if index["shardlist"]:
                path = folder / f"wids-{index['name']}.json"
                path.write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n")
                written.append(path)
    return written
