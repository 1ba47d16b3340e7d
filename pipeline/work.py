"""``.work`` in OUT: which plan a conversion follows, and a record of each shard that it has finished.

A later run continues from these files, and ``status`` reads them on machines where nothing can be converted: this
module imports nothing of what plans or makes shards.
"""

import contextlib
import hashlib
from collections.abc import Container, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import Count, decode_json
from shards_spec.layout import WORK_FOLDER, shard_file, shard_name
from shards_spec.manifest import MANIFEST_BYTES, MANIFEST_FILE, Sha256, decode_manifest
from shards_spec.rejects import Note, Reject
from shards_spec.storage import FileTooLargeError, Store, folder_fault, read_ahead

PLAN_FILE = f"{WORK_FOLDER}/plan.json"
PLAN_BYTES = 16 * 2**20
"""Size of the largest ``PLAN_FILE``: it has a line for each file of the source."""
RECORDS_FOLDER = f"{WORK_FOLDER}/records"

_MaybeSha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]


class PlanIdentity(msgspec.Struct, frozen=True):
    """What tells one conversion from another: kept in ``.work`` and, in other words, in the manifest."""

    plan_digest: str
    options: dict[str, Any]
    versions: dict[str, str]
    decisions: dict[str, str]
    source: dict[str, str]
    """File of the source to its digest."""
    shards: Count = 0
    """Planned shards. This and the two counts below are for ``status``; the digest covers them."""
    frames: Count = 0
    """Planned frames."""
    samples: Count = 0
    """Planned samples."""


class ShardRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a shard. It is written last, so a shard with a record need not be made again."""

    plan_digest: str
    cell: str
    number: Count
    samples: Count
    frames: Count
    """Frames with a sample."""
    bytes: Count
    """Size of the tar; 0 if no sample was left and there is no tar."""
    sha256: _MaybeSha256
    """Digest of the tar; empty if there is none."""
    index_sha256: _MaybeSha256
    """Digest of the shard's part of the cell's index, which waits in ``.work``; empty if there is none."""
    rejected_frames: Count
    rejected_members: Count
    rejects: list[Reject]
    notes: dict[Note, Count]
    requests: Count
    """Ranges read from the archives, second reads of damaged members included. This and the two counts below are of the
    attempt that made the shard: not of those that failed before, nor of what a store's client made again by itself."""
    bytes_read: Count
    """Bytes in those ranges."""
    bytes_used: Count
    """Bytes of frames, as they are packed in the archives. The rest are headers, gaps and damaged members."""
    seconds: dict[str, float]
    """Where the time went: "read" (waiting for archives), "cut", "write" and, of all, "total"."""


class _SealedRecord(msgspec.Struct, forbid_unknown_fields=True):
    """A record's file: a flipped bit in a count would otherwise stand in the manifest."""

    record: msgspec.Raw
    sha256: Sha256
    """Digest of the bytes of ``record``."""


_plan_decoder = msgspec.json.Decoder(PlanIdentity)
_sealed_decoder = msgspec.json.Decoder(_SealedRecord)
_record_decoder = msgspec.json.Decoder(ShardRecord)


def record_file(cell: str, number: int) -> str:
    """Path of a shard's record relative to OUT."""
    return f"{RECORDS_FOLDER}/{shard_name(cell, number)}.json"


def index_part_file(cell: str, number: int) -> str:
    """Path of a shard's part of its cell's index, relative to OUT."""
    return f"{WORK_FOLDER}/index/{shard_name(cell, number)}.parquet"


def encode_record(record: ShardRecord) -> bytes:
    """Return the bytes of a record's file."""
    data = msgspec.json.encode(record)
    return msgspec.json.encode(_SealedRecord(msgspec.Raw(data), hashlib.sha256(data).hexdigest()))


def decode_record(data: bytes) -> ShardRecord | None:
    """Return the record in a file, or None if it is damaged."""
    try:
        sealed = decode_json(_sealed_decoder, data)
        if hashlib.sha256(sealed.record).hexdigest() != sealed.sha256:
            return None
        return decode_json(_record_decoder, sealed.record)
    except SpecError:
        return None


def read_records(out: Store, plan_digest: str, files: Container[str] | None = None) -> Iterator[ShardRecord]:
    """Yield the records of a plan's finished shards, sorted by path.

    A shard is finished if its record is sound, its tar has the recorded size and its part of the index is there.

    Args:
        out: Where the set lies.
        plan_digest: Digest of the plan.
        files: Paths of the records to look at; None for all.
    """
    sizes = {file.path: file.size for file in out.list()}  # one listing, where thousands of shards are asked for

    def read(file: str) -> ShardRecord | None:
        try:
            record = decode_record(out.read_whole(file))
        except (FileNotFoundError, FileTooLargeError):
            return None
        if record is None or record.plan_digest != plan_digest or file != record_file(record.cell, record.number):
            return None
        is_whole = record.samples == 0 or (
            sizes.get(shard_file(record.cell, record.number)) == record.bytes
            and index_part_file(record.cell, record.number) in sizes
        )
        return record if is_whole else None

    found = (file for file in sizes if file.startswith(f"{RECORDS_FOLDER}/") and (files is None or file in files))
    with contextlib.closing(read_ahead(read, found, out.reads_at_once)) as records:
        yield from filter(None, records)


def find_set(out: Store) -> tuple[bool, PlanIdentity | None]:
    """Return whether the set in ``out`` is complete, and the plan it follows, if any.

    Raises:
        UsageError: ``out`` is not a folder, or what it says of the plan is damaged.
    """
    try:
        manifest = decode_manifest(out.read_whole(MANIFEST_FILE, MANIFEST_BYTES), f"{out.url}/{MANIFEST_FILE}")
    except NotADirectoryError as error:
        raise UsageError(folder_fault(out.url) or f"{out.url} is not a folder") from error
    except FileNotFoundError:
        try:
            return False, decode_json(_plan_decoder, out.read_whole(PLAN_FILE, PLAN_BYTES))
        except FileNotFoundError:
            return False, None
        except SpecError as error:
            raise UsageError(f"{out.url}/{PLAN_FILE} is damaged ({error}): delete {out.url}") from error
    return True, PlanIdentity(
        manifest.plan_digest,
        manifest.options,
        manifest.versions,
        {name: decision.choice for name, decision in manifest.decisions.items()},
        {file.file: file.sha256 for file in [*manifest.source.archives, *manifest.source.labels]},
    )


def refuse_foreign(out: Store) -> bool:
    """Return whether ``out`` holds a complete set; otherwise it holds part of one, or nothing.

    Raises:
        UsageError: It holds files that are not of a set.
    """
    is_complete, found = find_set(out)
    if found is None:
        refuse_strays(out)
    return is_complete


def refuse_strays(out: Store) -> None:
    """Return if ``out`` holds nothing outside ``.work``.

    Raises:
        UsageError: It does; the message names the first file.
    """
    stray = next((file.path for file in out.list() if not file.path.startswith(f"{WORK_FOLDER}/")), None)
    if stray is not None:
        raise UsageError(f"{out.url} is not empty and holds no set (first file: {stray}): choose an empty folder")
