"""Reading an untrusted manifest. Whoever reads one learns here that it is damaged, or that this version is too old."""

import hashlib
import re
from typing import TypeVar

import msgspec

from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import decode_json
from shards_spec.manifest import DIGEST_LINE_BYTES, MANIFEST_BYTES, MANIFEST_FILE, Manifest
from shards_spec.storage import Store, folder_fault
from shards_spec.variants import variant_named

_DIGEST_LINE = re.compile(rb'  "sha256": "([0-9a-f]{64})"\n}\n')


class _Head(msgspec.Struct, frozen=True):
    """What says whether this version can read the rest."""

    spec: str
    variant: str


_head_decoder = msgspec.json.Decoder(_Head)
_decoder = msgspec.json.Decoder(Manifest)
Struct = TypeVar("Struct", _Head, Manifest)


def decode_manifest(data: bytes, file: str = MANIFEST_FILE) -> Manifest:
    """Read a manifest.

    Args:
        data: Its bytes.
        file: What messages call it.

    Raises:
        SpecError: Its bytes are not those that its digest is of, a newer version wrote it, or a field does not fit.
    """
    text, line = data[:-DIGEST_LINE_BYTES], _DIGEST_LINE.fullmatch(data[-DIGEST_LINE_BYTES:])
    if line is None:
        raise _damaged(file, 'it does not end with its digest, "sha256"')
    if line[1].decode() != hashlib.sha256(text).hexdigest():
        raise _damaged(file, f"its SHA-256 is not the {line[1].decode()} that its last field says")
    head = _decoded(_head_decoder, data, file)
    if head.spec.partition(".")[0] != "1":
        raise SpecError(f"{file}: spec {head.spec}, but this version reads 1.x: install a newer reid-shards")
    try:
        variant_named(head.variant)
    except SpecError as error:
        raise SpecError(f"{file}: {error}") from None
    manifest = _decoded(_decoder, data, file)
    for protocol, splits in manifest.protocols.items():
        for split, cells in splits.items():
            for named in cells:
                if named not in manifest.cells:
                    raise _damaged(file, f"{split} of {protocol} has cell {named!r}, but there is none")
    return manifest


def _decoded(decoder: msgspec.json.Decoder[Struct], data: bytes, file: str) -> Struct:
    try:
        return decode_json(decoder, data)
    except SpecError as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: str, what: str) -> SpecError:
    return SpecError(f"{file} is damaged: {what}: delete it, and the command that made the set writes it again")


def manifest_bytes(store: Store) -> bytes:
    """The bytes of the manifest of the set in ``store``; raises ``UsageError`` where there is none."""
    try:
        return store.read_whole(MANIFEST_FILE, MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            folder_fault(store.url)
            or f"{store.url}: no {MANIFEST_FILE} there: it is no set, or its conversion did not finish; then the same "
            "command continues it"
        ) from None


def read_manifest(store: Store) -> Manifest:
    """The manifest of the set in ``store``.

    Raises:
        UsageError: There is none.
        SpecError: It cannot be read.
    """
    return decode_manifest(manifest_bytes(store), f"{store.url}/{MANIFEST_FILE}")
