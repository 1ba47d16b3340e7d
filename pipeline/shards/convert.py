"""From the rows of one shard to its tar and its rows of the index. This module knows nothing about Ray."""

import contextlib
import gc
import hashlib
import io
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.archives import ReadCounters
from pipeline.samples import Notes
from pipeline.shards.packing import Packer
from pipeline.shards.reading import read_rows
from pipeline.shards.record import ShardRecord, encode_record, index_part_file, record_file
from pipeline.shards.spool import Spool
from pipeline.sources.base import Source
from pipeline.sources.converter import Recipe
from shards_spec.layout import shard_file, shard_name
from shards_spec.rejects import Reject
from shards_spec.storage import FileWriter, Store
from shards_spec.variants import Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """Everything that a worker must know to write a shard."""

    plan_digest: str
    variant: Variant
    cell: str
    number: int
    rows: pa.Table
    """The shard's rows of the catalog, in its order: a row is used again soon after it was made into an object."""
    places: npt.NDArray[np.int64]
    """The position of each row in the order in which they go into the tar, ``[rows]``."""
    source: Source
    """The kind of the source."""
    recipe: Recipe
    """What the samples of the shard have in common."""


class _HashingOutput:
    """Passes a shard's bytes on and computes their digest."""

    def __init__(self, file: FileWriter) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
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
    rows, places = converter.rows(task.rows), task.places.tolist()
    rejects: list[Reject] = []
    notes = Notes()
    reading = ReadCounters()
    with tempfile.TemporaryFile() as file, Spool(file) as spool:
        packer = Packer(task.variant, list(task.recipe.splits), task.number, spool)
        for read, contents in read_rows(source, converter, rows, reading):
            outcome = converter.make_samples([rows[row] for row in read], contents, task.recipe)
            own = [places[read[row]] for row in outcome.rows]
            packer.add(own, outcome.keys, outcome.sidecars, outcome.files)
            rejects += outcome.rejects
            for note, example in outcome.notes:
                notes.add(note, example)
        cut = time.perf_counter()
        size, sha256, index_sha256 = _write_shard(task, packer, out)
    finished = time.perf_counter()
    record = ShardRecord(
        plan_digest=task.plan_digest,
        cell=task.cell,
        number=task.number,
        samples=packer.samples,
        units=packer.units,
        bytes=size,
        sha256=sha256,
        index_sha256=index_sha256,
        rejected_units=len(rows) - packer.units,
        rejected_samples=sum(reject.samples for reject in rejects),
        rejects=rejects,
        notes=notes.total(),
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
    planned = pc.sum(task.rows["samples"]).as_py() or 0
    if record.samples + record.rejected_samples != planned:
        raise AssertionError(
            f"{shard_name(task.cell, task.number)}: {planned} samples were planned, {record.samples} samples and "
            f"{record.rejected_samples} rejected ones came out"
        )
    out.put(record_file(task.cell, task.number), encode_record(record))
    return record


def _write_shard(task: ShardTask, packer: Packer, out: Store) -> tuple[int, str, str]:
    """Write the tar and the rows of the index; return the tar's size and both digests (empty if there is no sample)."""
    if not packer.samples:
        return 0, "", ""
    with out.open_write(shard_file(task.cell, task.number)) as file:
        output = _HashingOutput(file)
        size, rows = packer.write(output)
    index = _encode_rows(rows)
    out.put(index_part_file(task.cell, task.number), index)
    return size, output.sha256.hexdigest(), hashlib.sha256(index).hexdigest()


def _encode_rows(rows: pa.Table) -> bytes:
    """Return the file of a shard's rows. It is read once, so it has neither dictionaries nor statistics.

    That takes half the time of the index's own form, which ``finish`` gives the rows, and four fifths of its bytes.
    """
    file = io.BytesIO()
    pq.write_table(
        rows, file, compression="zstd", use_dictionary=False, write_statistics=False, row_group_size=rows.num_rows
    )
    return file.getvalue()
