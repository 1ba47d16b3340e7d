"""From the frames of one shard to its tar and its rows of the index. This module knows nothing about Ray."""

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
from typing import IO, NamedTuple

import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.archives import ReadCounters, ZipRequest, read_entries
from pipeline.options import Options
from pipeline.samples.cut import make_samples
from pipeline.samples.frames import Frame, frame_rows
from pipeline.shards.record import ShardRecord, encode_record, index_part_file, record_file
from shards_spec.index import IndexBuilder, Placement, write_index
from shards_spec.layout import shard_file, shard_name
from shards_spec.rejects import Note, Reject
from shards_spec.sidecar import IMAGE_EXTENSION, SIDECAR_EXTENSION, Sidecar, encode_sidecar
from shards_spec.storage import FileWriter, Store
from shards_spec.tar import TarWriter

SPOOL_BYTES = 256 * 2**20
"""Bytes of crops that wait in memory for their turn in the tar. Beyond this size they wait in a temporary file."""


FRAMES_AT_ONCE = 2
"""Frames that are held in memory and cut together: two take less time together than one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """Everything that a worker must know to write a shard."""

    plan_digest: str
    cell: str
    number: int
    frames: pa.Table
    """The shard's rows of ``FRAME_SCHEMA``, in the order in which they go into the tar."""
    splits: dict[str, list[str]]
    """The sorted splits of the cell, by protocol."""
    identity_is_global: bool
    options: Options


class _Waiting(NamedTuple):
    """A sample whose image waits in the spool for its turn in the tar."""

    key: str
    sidecar: Sidecar
    offset: int
    size: int


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
    frames = frame_rows(task.frames)
    waiting: list[list[_Waiting]] = [[] for _ in frames]
    rejects: list[Reject] = []
    notes: Counter[Note] = Counter()
    assert task.options.cut is not None
    reading = ReadCounters()
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        archived = read_entries(source, [entry_request(frame) for frame in frames], reading)
        while some := list(itertools.islice(archived, FRAMES_AT_ONCE)):
            outcomes = make_samples(
                [(frames[row], content) for row, content in some],
                splits=task.splits,
                identity_is_global=task.identity_is_global,
                options=task.options.cut,
            )
            for (row, _), outcome in zip(some, outcomes, strict=True):
                for sample in outcome.samples:
                    waiting[row].append(_Waiting(sample.key, sample.sidecar, spool.tell(), len(sample.image)))
                    spool.write(sample.image)
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
        rejected_units=len(frames) - sum(map(bool, waiting)),
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
    members = sum(len(frame.person_ids) for frame in frames)
    if record.samples + record.rejected_samples != members:
        raise AssertionError(
            f"{shard_name(task.cell, task.number)}: {members} members came in, {record.samples} samples and "
            f"{record.rejected_samples} rejected members came out"
        )
    out.put(record_file(task.cell, task.number), encode_record(record))
    return record


def entry_request(frame: Frame) -> ZipRequest:
    """Return the request that reads a frame from its archive."""
    return ZipRequest(
        archive=frame.archive,
        name=frame.member,
        offset=frame.offset,
        extent=frame.extent,
        compressed_size=frame.compressed_size,
        size=frame.size,
        crc32=frame.crc32,
        method=frame.method,
    )


def _write_shard(task: ShardTask, waiting: list[list[_Waiting]], spool: IO[bytes], out: Store) -> tuple[int, str, str]:
    """Write the tar and the rows of the index; return the tar's size and both digests (empty if there is no sample)."""
    if not any(waiting):
        return 0, "", ""
    rows = IndexBuilder(list(task.splits))
    with out.open_write(shard_file(task.cell, task.number)) as file:
        output = _HashingOutput(file)
        tar = TarWriter(output)
        for unit_index, samples in enumerate(filter(None, waiting)):
            for key, sidecar, offset, size in samples:
                spool.seek(offset)
                image = spool.read(size)
                text = encode_sidecar(sidecar)
                placement = Placement(
                    jpg_offset=tar.add(key + IMAGE_EXTENSION, image),
                    jpg_size=len(image),
                    jpg_crc32=crc32(image),
                    json_offset=tar.add(key + SIDECAR_EXTENSION, text),
                    json_size=len(text),
                    json_crc32=crc32(text),
                )
                rows.add(key, task.number, unit_index, sidecar, placement)
        tar.finish()
    index = io.BytesIO()
    write_index(index, list(task.splits), [rows.table()])
    out.put(index_part_file(task.cell, task.number), index.getvalue())
    return tar.size, output.sha256.hexdigest(), hashlib.sha256(index.getvalue()).hexdigest()
