"""A set with City1M's number of rows, and the bytes of one shard: every shard is a link to the same tar."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from shards_spec.index import index_schema, write_index
from shards_spec.manifest import Cell, IndexFile, Manifest, ShardFile, encode_manifest
from shards_spec.manifest_read import decode_manifest
from shards_spec.stream import open_dataset
from shards_spec.tar import TarWriter
from shards_spec.variants.city1m import CITY1M

CELL = "p1-train"
SHARD_SAMPLES = 10_000
IDENTITIES = 60
"""A shard's: 15 groups of 4."""


def make_scale_set(source: Path, out: Path, shards: int) -> None:
    """Make a set of ``shards`` x 10,000 samples out of the samples of a small one.

    Args:
        source: A set, e.g. of the demo.
        out: To write to.
        shards: 740 make City1M's 7.4 million samples.
    """
    (out / CELL).mkdir(parents=True)
    first = out / CELL / f"{CELL}-000000.tar"
    placements = _write_shard(source, first)
    for number in range(1, shards):
        (out / CELL / f"{CELL}-{number:06d}.tar").hardlink_to(first)
    table = _rows(placements)
    with (out / CELL / "index.parquet").open("wb") as file:
        write_index(file, index_schema(CITY1M, ["p1"]), (_of_shard(table, number) for number in range(shards)))
    manifest = _manifest(source, out, first, shards)
    (out / "dataset.json").write_bytes(encode_manifest(manifest, manifest.files))


def _write_shard(source: Path, path: Path) -> np.ndarray:
    """Write one shard; returns ``[samples, 6]``: offset, size and CRC-32 of the image and of the sidecar."""
    from zlib import crc32  # noqa: PLC0415

    dataset = open_dataset(source)
    samples = [
        (sample["jpg"], msgspec.json.encode(sample["json"]))
        for split in ("train", "gallery")
        for sample in dataset.stream(split=split)
    ]
    placements = np.empty((SHARD_SAMPLES, 6), np.int64)
    with path.open("wb") as file:
        tar = TarWriter(file)
        for place in range(SHARD_SAMPLES):
            jpg, json = samples[place % len(samples)]
            for column, (extension, data) in enumerate((("jpg", jpg), ("json", json))):
                offset = tar.add(f"scale_{place:06d}.{extension}", data)
                placements[place, 3 * column : 3 * column + 3] = offset, len(data), crc32(data)
        tar.finish()
    return placements


def _rows(placements: np.ndarray) -> pa.Table:
    count = len(placements)
    places = np.arange(count)
    constants = {
        "spec": "1.0",
        "time": "day",
        "encoding": "lossless",
        "frame": "",
        "key": "",
        "group_id": "",
        "identity": "",
    }
    own = {
        "unit_index": places // 4,
        "person_id": places % 4,
        "members": np.full(count, 4),
        "camera": 1 + (places // 4) % 8,
        **{
            f"{member}_{what}": placements[:, 3 * column + place]
            for column, member in enumerate(("jpg", "json"))
            for place, what in enumerate(("offset", "size", "crc32"))
        },
    }
    arrays = []
    for field in index_schema(CITY1M, ["p1"]):
        if field.name in constants:
            arrays.append(pa.array([constants[field.name]] * count, field.type))
        elif field.name == "splits_p1":
            arrays.append(pa.array([["train"]] * count, field.type))
        else:
            arrays.append(pa.array(own.get(field.name, np.ones(count))).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=index_schema(CITY1M, ["p1"]))


def _of_shard(table: pa.Table, number: int) -> pa.Table:
    """The rows of one shard: its frames are of its own groups, in a mixed order."""
    places = np.arange(table.num_rows)
    groups = (
        number * IDENTITIES // 4
        + np.random.default_rng(number).integers(0, IDENTITIES // 4, table.num_rows)[places // 4]
    )
    stems = [f"{group:07d}_pCount4_cam1_{number * 2500 + place // 4:07d}_day" for place, group in enumerate(groups)]
    columns = {
        "shard": pa.array(np.full(len(places), number, np.int32)),
        "frame": pa.array(stems),
        "key": pa.array([f"{stem}_p{place % 4}" for place, stem in enumerate(stems)]),
        "group_id": pa.array([f"{group:07d}" for group in groups]),
        "identity": pa.array([f"{group:07d}-{place % 4}" for place, group in enumerate(groups)]),
    }
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), column)
    return table


def _manifest(source: Path, out: Path, first: Path, shards: int) -> Manifest:
    size, digest = first.stat().st_size, hashlib.sha256(first.read_bytes()).hexdigest()
    index = IndexFile(f"{CELL}/index.parquet", hashlib.sha256((out / CELL / "index.parquet").read_bytes()).hexdigest())
    files = [
        ShardFile(f"{CELL}/{CELL}-{number:06d}.tar", SHARD_SAMPLES, SHARD_SAMPLES // 4, size, digest)
        for number in range(shards)
    ]
    manifest = decode_manifest((source / "dataset.json").read_bytes())
    samples = shards * SHARD_SAMPLES
    totals = msgspec.structs.replace(manifest.totals, samples=samples, units=samples // 4, bytes=size * shards)
    return msgspec.structs.replace(
        manifest,
        protocols={"p1": {"train": [CELL]}},
        cells={CELL: Cell(samples, samples // 4, "groups", index, files)},
        totals=totals,
    )
