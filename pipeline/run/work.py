"""The ``.work`` folder in OUT: which plan a conversion follows, and which of its shards are finished.

A later run continues from these files, and ``status`` reads them on machines that cannot convert anything. This module
therefore imports nothing that plans or makes shards.
"""

import contextlib
from collections.abc import Container, Iterator
from typing import Any

import msgspec

from pipeline.shards.record import RECORDS_FOLDER, ShardRecord, decode_record, index_part_file, record_file
from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import Count, decode_json
from shards_spec.layout import WORK_FOLDER, shard_file
from shards_spec.manifest import MANIFEST_BYTES, MANIFEST_FILE
from shards_spec.manifest_read import decode_manifest
from shards_spec.storage import FileTooLargeError, Store, folder_fault, read_ahead

PLAN_FILE = f"{WORK_FOLDER}/plan.json"
PLAN_BYTES = 16 * 2**20
"""Bytes of the largest ``PLAN_FILE``, which has a line for each file of the source."""


class PlanIdentity(msgspec.Struct, frozen=True):
    """What distinguishes a conversion from others. It is kept in ``.work``; the manifest holds the same facts."""

    plan_digest: str
    options: dict[str, Any]
    versions: dict[str, str]
    decisions: dict[str, str]
    source: dict[str, str]
    """Digest of each file of the source."""
    variant: str
    """Name of the set's variant."""
    shards: Count = 0
    """Number of planned shards. This and the two counts below are for ``status``; the digest covers them."""
    units: Count = 0
    """Number of planned units."""
    samples: Count = 0
    """Number of planned samples."""


_plan_decoder = msgspec.json.Decoder(PlanIdentity)


def read_records(out: Store, plan_digest: str, files: Container[str] | None = None) -> Iterator[ShardRecord]:
    """Yield the records of a plan's finished shards, sorted by path.

    A shard is finished if its record is sound, its tar has the recorded size and its part of the index is there.

    Args:
        out: The store that holds the set.
        plan_digest: Digest of the plan.
        files: Paths of the records to look at; None for all.
    """
    sizes = {file.path: file.size for file in out.list()}  # a single listing, because there can be thousands of shards

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
        manifest.variant,
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
