"""Sets of any variant, written straight to a folder: no source and no conversion stand behind them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from zlib_ng.zlib_ng import crc32

from pipeline.report.card import dataset_card
from pipeline.report.croissant import croissant
from pipeline.shards.versions import byte_bearing_versions
from shards_spec.index import write_index
from shards_spec.index_rows import FileSpan, IndexBuilder
from shards_spec.manifest import (
    Account,
    Cell,
    Description,
    IndexFile,
    Origin,
    SetFile,
    ShardFile,
    SourceFile,
    Totals,
    encode_manifest,
)
from shards_spec.tar import TarWriter
from shards_spec.variants import Variant
from shards_spec.version import SPEC_VERSION


class WrittenSample(NamedTuple):
    """A sample, without its sidecar's file."""

    key: str
    sidecar: msgspec.Struct
    files: Mapping[str, bytes]


def write_set(out: Path, variant: Variant, cells: Mapping[str, Sequence[WrittenSample]], protocols: Any) -> None:
    """Write a set with a shard a cell, in which each sample is a unit of its own.

    Args:
        out: Folder to write to.
        variant: Has one account, and the common options only.
        cells: Name of each cell to its samples.
        protocols: As the manifest has them.
    """
    written = {name: _write_cell(out, name, variant, samples, list(protocols)) for name, samples in cells.items()}
    count = sum(cell.samples for cell in written.values())
    description = Description(
        spec=SPEC_VERSION,
        variant=variant.name,
        source=Origin("Made up", [SourceFile("all.zip", 1, "0" * 64)], []),
        options={"samples_per_shard": 1000, "shuffle": "none", "seed": 0},
        versions=byte_bearing_versions(),
        plan_digest="0" * 64,
        decisions={},
        protocols=protocols,
        cells=written,
        totals=Totals(
            accounts={variant.samples_account: Account(count, count, 0)},
            units=count,
            samples=count,
            shards=len(written),
            bytes=sum(shard.bytes for cell in written.values() for shard in cell.shards),
        ),
        notes={},
        rejects={},
    )
    files = {"README.md": dataset_card(description).encode(), "croissant.json": croissant(description)}
    files["rejects.jsonl"] = b""
    for name, data in files.items():
        (out / name).write_bytes(data)
    listed = {name: SetFile(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    (out / "dataset.json").write_bytes(encode_manifest(description, listed))


def _write_cell(out: Path, name: str, variant: Variant, samples: Iterable[WrittenSample], protocols: list[str]) -> Cell:
    (out / name).mkdir(parents=True)
    shard, index = out / name / f"{name}-000000.tar", out / name / "index.parquet"
    builder = IndexBuilder(variant, protocols)
    count = 0
    with shard.open("wb") as file:
        tar = TarWriter(file)
        for key, sidecar, files in samples:
            contents = {**files, "json": msgspec.json.encode(sidecar)}
            spans = {
                extension: FileSpan(tar.add(f"{key}.{extension}", data), len(data), crc32(data))
                for extension, data in contents.items()
            }
            builder.add(key, 0, count, sidecar, spans)
            count += 1
        tar.finish()
    with index.open("wb") as file:
        write_index(file, builder.schema, [builder.table()])
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (shard, index)]
    listed = ShardFile(f"{name}/{shard.name}", count, count, shard.stat().st_size, digests[0])
    return Cell(count, count, "none", IndexFile(f"{name}/index.parquet", digests[1]), [listed])
