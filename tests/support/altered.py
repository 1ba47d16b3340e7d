"""Sets altered by somebody who makes all digests, counts and indexes right again: only the source shows it."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from zlib_ng.zlib_ng import crc32

from pipeline.report.card import dataset_card
from pipeline.report.croissant import croissant
from shards_spec.index import index_schema, write_index
from shards_spec.index_rows import FileSpan, IndexBuilder
from shards_spec.layout import CARD_FILE, CROISSANT_FILE
from shards_spec.manifest import (
    MANIFEST_FILE,
    REJECTS_FILE,
    Account,
    Cell,
    Description,
    IndexFile,
    SetFile,
    ShardFile,
    encode_manifest,
)
from shards_spec.manifest_read import decode_manifest
from shards_spec.rejects import RejectReason, decode_rejects
from shards_spec.sidecar import decode_sidecar
from shards_spec.tar import TarWriter, read_tar
from shards_spec.variants.city1m import CITY1M

LINE_REASONS = {RejectReason.LINE_FIELDS, RejectReason.LINE_NAME}
Files = list[tuple[str, bytes]]
"""The files of a shard: name and content."""


def alter_shard(out: Path, file: str, change: Callable[[Files], Files]) -> None:
    """Rewrite a shard with other files, then all that the set says of it."""
    path = out / file
    files = [(member.name, member.data) for member in read_tar(io.BytesIO(path.read_bytes()))]
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    for name, data in change(files):
        tar.add(name, data)
    tar.finish()
    path.write_bytes(buffer.getvalue())
    alter_manifest(out)


def alter_manifest(out: Path, rejected_units: int | None = None) -> None:
    """Write indexes, counts, card and manifest anew, as the shards and the rejects are now.

    Args:
        out: Folder of the set.
        rejected_units: Units of which no member is left, where their number is another one now.
    """
    manifest = decode_manifest((out / MANIFEST_FILE).read_bytes())
    protocols = sorted(manifest.protocols)
    cells = {name: _seal_cell(out, cell, protocols) for name, cell in manifest.cells.items()}
    rejects = decode_rejects((out / REJECTS_FILE).read_bytes())
    lost = sum(reject.samples for reject in rejects)
    samples, units = (sum(getattr(cell, what) for cell in cells.values()) for what in ("samples", "units"))
    accounts = manifest.totals.accounts
    lost_units = accounts["frames"].rejected if rejected_units is None else rejected_units
    lost_lines = sum(reject.reason in LINE_REASONS for reject in rejects)
    lines = accounts["lines"].total
    totals = msgspec.structs.replace(
        manifest.totals,
        samples=samples,
        units=units,
        bytes=sum(shard.bytes for cell in cells.values() for shard in cell.shards),
        accounts={
            "lines": Account(lines, lines - lost_lines, lost_lines),
            "frames": Account(units + lost_units, units, lost_units),
            "members": Account(samples + lost, samples, lost),
        },
    )
    reasons = dict(sorted(Counter(str(reject.reason) for reject in rejects).items()))
    fields = {name: getattr(manifest, name) for name in Description.__struct_fields__}
    description = Description(**{**fields, "cells": cells, "totals": totals, "rejects": reasons})
    (out / CARD_FILE).write_text(dataset_card(description))
    (out / CROISSANT_FILE).write_bytes(croissant(description))
    files = {}
    for file in manifest.files:
        data = (out / file).read_bytes()
        files[file] = SetFile(len(data), hashlib.sha256(data).hexdigest())
    (out / MANIFEST_FILE).write_bytes(encode_manifest(description, files))


def _seal_cell(out: Path, cell: Cell, protocols: list[str]) -> Cell:
    shards, tables = [], []
    for shard in cell.shards:
        data = (out / shard.file).read_bytes()
        builder = IndexBuilder(CITY1M, protocols)
        frames: list[str] = []
        samples = 0
        members = read_tar(io.BytesIO(data))
        for image, text in zip(members, members, strict=True):
            sidecar = decode_sidecar(text.data, CITY1M)
            if sidecar.frame not in frames:
                frames.append(sidecar.frame)
            files = (("jpg", image), ("json", text))
            spans = {name: FileSpan(file.offset, len(file.data), crc32(file.data)) for name, file in files}
            number = int(shard.file[-10:-4])
            builder.add(image.name.removesuffix(".jpg"), number, len(frames) - 1, sidecar, spans)
            samples += 1
        tables.append(builder.table())
        shards.append(ShardFile(shard.file, samples, len(frames), len(data), hashlib.sha256(data).hexdigest()))
    buffer = io.BytesIO()
    write_index(buffer, index_schema(CITY1M, protocols), tables)
    (out / cell.index.file).write_bytes(buffer.getvalue())
    return Cell(
        samples=sum(shard.samples for shard in shards),
        units=sum(shard.units for shard in shards),
        shuffle=cell.shuffle,
        index=IndexFile(cell.index.file, hashlib.sha256(buffer.getvalue()).hexdigest()),
        shards=shards,
    )
