"""The record of a shard. It is kept in ``.work``, so that a later run need not make the shard again.

Records are also read on machines that cannot convert anything, so this module imports nothing that makes shards.
"""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError
from shards_spec.jsons import Count, decode_json
from shards_spec.layout import WORK_FOLDER, shard_name
from shards_spec.manifest import Sha256
from shards_spec.rejects import Noted, Reject

RECORDS_FOLDER = f"{WORK_FOLDER}/records"


_MaybeSha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]


class ShardRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a shard. It is written last, so a shard with a record need not be made again."""

    plan_digest: str
    cell: str
    number: Count
    samples: Count
    units: Count
    """Number of units with at least one sample."""
    bytes: Count
    """Size of the tar in bytes; 0 if no sample was left and there is no tar."""
    sha256: _MaybeSha256
    """Digest of the tar; empty if there is none."""
    index_sha256: _MaybeSha256
    """Digest of the shard's part of the cell's index, which is kept in ``.work``; empty if there is none."""
    rejected_units: Count
    """Number of units without a sample."""
    rejected_samples: Count
    rejects: list[Reject]
    notes: dict[str, Noted]
    requests: Count
    """Number of ranges that were read from the archives, including second reads of damaged members. This and the two
    counts below cover the attempt that made the shard: neither attempts that failed before, nor requests that a store's
    client repeated by itself."""
    bytes_read: Count
    """Number of bytes in those ranges."""
    bytes_used: Count
    """Bytes of frames, as they are packed in the archives. The rest are headers, gaps and damaged members."""
    seconds: dict[str, float]
    """Seconds by stage: "read" (waiting for archives), "cut", "write", and "total" for the whole shard."""


class _SealedRecord(msgspec.Struct, forbid_unknown_fields=True):
    """The file of a record. Its digest keeps a flipped bit in a count from reaching the manifest."""

    record: msgspec.Raw
    sha256: Sha256
    """Digest of the bytes of ``record``."""


_sealed_decoder = msgspec.json.Decoder(_SealedRecord)
_record_decoder = msgspec.json.Decoder(ShardRecord)


def record_file(cell: str, number: int) -> str:
    """Return the path of a shard's record, relative to OUT."""
    return f"{RECORDS_FOLDER}/{shard_name(cell, number)}.json"


def index_part_file(cell: str, number: int) -> str:
    """Return the path of a shard's part of its cell's index, relative to OUT."""
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
