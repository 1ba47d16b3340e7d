"""From the rows of one shard to its tar and its rows of the index. This module knows nothing about Ray."""

import contextlib
import gc
import hashlib
import io
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.archives import ReadCounters
from pipeline.shards.reading import read_rows
from pipeline.shards.record import ShardRecord, encode_record, index_part_file, record_file
from pipeline.sources.base import Source
from pipeline.sources.converter import Recipe
from shards_spec.index import FileSpan, IndexBuilder, write_index
from shards_spec.layout import shard_file, shard_name
from shards_spec.rejects import Note, Reject
from shards_spec.sidecar import encode_sidecar
from shards_spec.storage import FileWriter, Store
from shards_spec.tar import TarWriter
from shards_spec.variants import Variant
from shards_spec.variants.base import SIDECAR

SPOOL_BYTES = 256 * 2**20
"""Bytes of crops that wait in memory for their turn in the tar. Beyond this size they wait in a temporary file."""


ROWS_AT_ONCE = 2
"""Rows that are held in memory and made together: two frames take less time together than one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """Everything that a worker must know to write a shard."""

    plan_digest: str
    variant: Variant
    cell: str
    number: int
    rows: pa.Table
    """The shard's rows of the catalog, in the order in which they go into the tar."""
    source: Source
    """The kind of the source."""
    recipe: Recipe
    """What the samples of the shard have in common."""


class _Waiting(NamedTuple):
    """A sample whose files wait in the spool for their turn in the tar."""

    key: str
    sidecar: Any
    offset: int
    """Where its files begin in the spool."""
    sizes: tuple[int, ...]
    """Their sizes in bytes."""


class _HashingOutput:
    """Passes a shard's bytes on and computes their digest."""

    def __init__(self, file: FileWriter) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self._file.write(data)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause Python's garbage collector while a shard is written.

    A shard creates tens of thousands of small objects that live until its end, and no cycles. The collector would walk
    them again and again, which was measured to take a tenth of a shard's time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_garbage_collection()
def convert_shard(task: ShardTask, source: Store, out: Store) -> ShardRecord:
    """Write a shard, its rows of the index and its record to ``out``, in that order, each completely or not at all.

    The same task always gives the same tar and the same rows. Whatever fails in the same way every time becomes a
    reject; ``OSError``, ``EOFError`` and ``MemoryError`` are raised, so that the caller can try again.
    """
    started = time.perf_counter()
    converter = task.source.load()
    rows = converter.rows(task.rows)
    waiting: list[list[_Waiting]] = [[] for _ in rows]
    rejects: list[Reject] = []
    notes: Counter[Note] = Counter()
    reading = ReadCounters()
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        contents = read_rows(source, converter, rows, reading)
        while some := list(itertools.islice(contents, ROWS_AT_ONCE)):
            outcomes = converter.make_samples([(rows[row], content) for row, content in some], task.recipe)
            for (row, _), outcome in zip(some, outcomes, strict=True):
                for key, sidecar, files in outcome.samples:
                    waiting[row].append(_Waiting(key, sidecar, spool.tell(), tuple(map(len, files))))
                    spool.writelines(files)
                rejects += outcome.rejects
                notes.update(outcome.notes)
        cut = time.perf_counter()
        size, sha256, index_sha256 = _write_shard(task, waiting, spool, out)
    finished = time.perf_counter()
    record = ShardRecord(
        plan_digest=task.plan_digest,
        cell=task.cell,
        number=task.number,
        samples=sum(map(len, waiting)),
        units=sum(map(bool, waiting)),
        bytes=size,
        sha256=sha256,
        index_sha256=index_sha256,
        rejected_units=len(rows) - sum(map(bool, waiting)),
        rejected_samples=sum(reject.samples for reject in rejects),
        rejects=rejects,
        notes=dict(notes),
        requests=reading.requests,
        bytes_read=reading.bytes_read,
        bytes_used=reading.bytes_used,
        seconds={
            "read": reading.seconds_waiting,
            "cut": cut - started - reading.seconds_waiting,
            "write": finished - cut,
            "total": finished - started,
        },
    )
    planned = sum(row.samples for row in rows)
    if record.samples + record.rejected_samples != planned:
        raise AssertionError(
            f"{shard_name(task.cell, task.number)}: {planned} samples were planned, {record.samples} samples and "
            f"{record.rejected_samples} rejected ones came out"
        )
    out.put(record_file(task.cell, task.number), encode_record(record))
    return record


def _write_shard(task: ShardTask, waiting: list[list[_Waiting]], spool: IO[bytes], out: Store) -> tuple[int, str, str]:
    """Write the tar and the rows of the index; return the tar's size and both digests (empty if there is no sample)."""
    if not any(waiting):
        return 0, "", ""
    rows = IndexBuilder(task.variant, list(task.recipe.splits))
    with out.open_write(shard_file(task.cell, task.number)) as file:
        output = _HashingOutput(file)
        tar = TarWriter(output)
        for unit_index, samples in enumerate(filter(None, waiting)):
            for key, sidecar, offset, sizes in samples:
                spool.seek(offset)
                spans = {}
                for extension, size in zip(task.variant.extensions(sidecar)[:-1], sizes, strict=True):
                    data = spool.read(size)
                    spans[extension] = FileSpan(tar.add(f"{key}.{extension}", data), size, crc32(data))
                text = encode_sidecar(sidecar)
                spans[SIDECAR] = FileSpan(tar.add(f"{key}.{SIDECAR}", text), len(text), crc32(text))
                rows.add(key, task.number, unit_index, sidecar, spans)
        tar.finish()
    index = io.BytesIO()
    write_index(index, rows.schema, [rows.table()])
    out.put(index_part_file(task.cell, task.number), index.getvalue())
    return tar.size, output.sha256.hexdigest(), hashlib.sha256(index.getvalue()).hexdigest()
