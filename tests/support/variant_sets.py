"""Small sets of variants of their own, written by hand: no images, and persons and cameras that may be unknown."""

import dataclasses
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from shards_spec.index import write_index
from shards_spec.index_rows import FileSpan, IndexBuilder
from shards_spec.layout import SET_FILES
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
from shards_spec.sidecar import encode_sidecar
from shards_spec.tar import TarWriter
from shards_spec.variants import Variant, register
from shards_spec.variants.base import SIDECAR

VERSIONS = {"reid-shards": "1", "pillow": "1", "msgspec": "1", "pyarrow": "1", "machine": "x"}
CELL = "p1-all"


class Scan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sidecar."""

    spec: str
    name: str
    person: str | None
    camera: int | None
    parts: list[str]
    splits: dict[str, list[str]]


def scan_keys(scan: Scan) -> tuple[str, ...]:
    return (scan.name,)


def scan_parts(scan: Scan) -> Sequence[str]:
    return scan.parts


SCANS = Variant(
    name="scans",
    sidecar=Scan,
    keys=scan_keys,
    files=("txt", "bin"),
    identity_field="person",
    camera_field="camera",
    accounts=("scans",),
    samples_account="scans",
)
"""Two files a sample."""
PARTED = Variant(
    name="parted-scans",
    sidecar=Scan,
    keys=scan_keys,
    files=("txt",),
    more_files=scan_parts,
    accounts=("scans",),
    samples_account="scans",
)
"""One file a sample, and further ones whose number varies."""
WEAK = dataclasses.replace(SCANS, name="weak-scans", weak_labels={"all": "name"}, set_files=("table.json",))
"""Labels of its split number the names, not the persons, and its sets have a file more."""
register(SCANS)
register(WEAK)
register(PARTED)


def scan(number: int, person: str | None = None, camera: int | None = None, parts: Sequence[str] = ()) -> Scan:
    """The sidecar of a sample."""
    return Scan(
        spec="1.0", name=f"scan{number}", person=person, camera=camera, parts=list(parts), splits={"p1": ["all"]}
    )


def content(scan: Scan, extension: str) -> bytes:
    """A file of a sample."""
    return f"{scan.name} {extension}".encode() * 30


def write_scans(
    out: Path, variant: Variant, scans: Sequence[Scan], *, extra: Mapping[str, bytes] | None = None
) -> None:
    """Write a complete set of one shard.

    Args:
        out: Folder to write to.
        variant: ``SCANS`` or ``PARTED``.
        scans: The sidecars.
        extra: Files that the first sample has besides, by extension.
    """
    (out / CELL).mkdir(parents=True)
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    rows = IndexBuilder(variant, ["p1"])
    for number, one in enumerate(scans):
        files = {name: content(one, name) for name in variant.extensions(one)[:-1]}
        files |= (extra or {}) if number == 0 else {}
        files[SIDECAR] = encode_sidecar(one)
        spans = {
            name: FileSpan(tar.add(f"{one.name}.{name}", data), len(data), crc32(data)) for name, data in files.items()
        }
        rows.add(one.name, 0, number, one, spans)
    tar.finish()
    shard = f"{CELL}/{CELL}-000000.tar"
    (out / shard).write_bytes(buffer.getvalue())
    index = io.BytesIO()
    write_index(index, rows.schema, [rows.table()])
    (out / CELL / "index.parquet").write_bytes(index.getvalue())
    others = sorted(SET_FILES | set(variant.set_files))
    for file in others:
        (out / file).write_bytes(b"")
    count = len(scans)
    cell = Cell(
        samples=count,
        units=count,
        shuffle="groups",
        index=IndexFile(f"{CELL}/index.parquet", sha256(index.getvalue())),
        shards=[ShardFile(shard, count, count, tar.size, sha256(buffer.getvalue()))],
    )
    description = Description(
        spec="1.0",
        variant=variant.name,
        source=Origin("Scans", [SourceFile("scans.zip", 1, "0" * 64)], []),
        options={"samples_per_shard": 100, "shuffle": "groups", "seed": 0},
        versions=VERSIONS,
        plan_digest="0" * 64,
        decisions={},
        protocols={"p1": {"all": [CELL]}},
        cells={CELL: cell},
        totals=Totals({"scans": Account(count, count, 0)}, count, count, 1, tar.size),
        notes={},
        rejects={},
    )
    entries = {file: SetFile(0, sha256(b"")) for file in others}
    (out / "dataset.json").write_bytes(encode_manifest(description, entries))


def sha256(data: bytes) -> str:
    """The digest as the manifest has it."""
    return hashlib.sha256(data).hexdigest()


def column(table: pa.Table, name: str) -> list[Any]:
    """The values of a column."""
    values: list[Any] = table[name].to_pylist()
    return values
