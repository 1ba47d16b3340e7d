"""Reading the models of a source for the names of their textures, in parts that other processes can do."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.archives import EntryFault, Part, Tasks, read_entries
from pipeline.sources.city1m.models.entries import Entry
from pipeline.sources.city1m.models.fbx import NamedTexture, find_textures
from shards_spec.errors import SpecError
from shards_spec.rejects import RejectReason
from shards_spec.storage import ReadableStore, Store, read_ahead

_VERSION = 3  # change it when other names are found in a file
_PART_BYTES = 256 << 20
_PART_MODELS = 1000


class Named(NamedTuple):
    """What a model's file says."""

    textures: list[NamedTexture]
    reason: RejectReason | None = None
    """Why the file is lost; None if it is not."""
    detail: str = ""
    crc32: int = 0
    """CRC-32 of the file."""


def read_names(store: Store, models: Sequence[Entry], tasks: Tasks, progress: Callable[[str], None]) -> list[Named]:
    """Read models, and return what each says.

    Args:
        store: The store with the source.
        models: The models, none of which has a known fault.
        tasks: What reads them.
        progress: A function that is called with a sentence about the progress now and then.

    Raises:
        OSError: The store reports a fault.
    """
    keepers = list(dict.fromkeys(model.archive or model.name for model in models))
    versions = dict(zip(keepers, read_ahead(store.version, keepers, store.reads_at_once), strict=True))
    chunks = list(_chunks(models))
    parts = [_part(chunk, versions) for chunk in chunks]
    found: list[list[Named]] = [[] for _ in parts]
    done = 0
    for position, table in tasks.run(_read_part, parts):
        found[position] = [msgspec.json.decode(text, type=Named) for text in table["named"].to_pylist()]
        done += len(chunks[position])
        progress(f"names of textures: {done:,} of {len(models):,} models")
    return [named for part in found for named in part]


def _chunks(models: Sequence[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for model in models:
        if chunk and (size + model.size > _PART_BYTES or len(chunk) == _PART_MODELS):
            yield chunk
            chunk, size = [], 0
        chunk.append(model)
        size += model.size
    if chunk:
        yield chunk


def _part(models: list[Entry], versions: dict[str, str]) -> Part:
    said = msgspec.json.encode([_VERSION, [(*model, versions[model.archive or model.name]) for model in models]])
    return Part(hashlib.sha256(said).hexdigest(), models)


def _read_part(store: ReadableStore, models: list[Entry]) -> pa.Table:
    found: list[bytes] = [b""] * len(models)
    with contextlib.closing(read_entries(store, [model.request for model in models])) as contents:
        for position, content in contents:
            found[position] = msgspec.json.encode(_named(content))
    return pa.table({"named": pa.array(found, pa.large_binary())})


def _named(content: bytes | EntryFault) -> Named:
    if isinstance(content, EntryFault):
        return Named([], content.reason, content.detail)
    try:
        return Named(find_textures(content), crc32=crc32(content))
    except SpecError as error:
        return Named([], RejectReason.MODEL_UNREADABLE, str(error))
