"""The manifest ``dataset.json``: what a set consists of. Written last, so it exists only when the set is complete."""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError, UsageError
from shards_spec.jsons import Count, PositiveCount, decode_json
from shards_spec.options import CellShuffle
from shards_spec.storage import Store, folder_fault
from shards_spec.variants import Variant, variant_named

MANIFEST_FILE = "dataset.json"
REJECTS_FILE = "rejects.jsonl"

DIGEST_LINE_BYTES = 81
"""Size of what ``seal_manifest`` appends: the manifest's last field, its closing brace and two line ends."""

_DIGEST_LINE = re.compile(rb'  "sha256": "([0-9a-f]{64})"\n}\n')

MANIFEST_BYTES = 64 * 2**20
"""Size of the largest manifest: one of ``MAX_SHARDS`` shards has at most 50 MB."""
MAX_SHARDS = 150_000

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]  # "$" alone lets a line end pass


Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9]*$")]
"""Of a protocol or a split. It becomes part of cells' and files' names."""


class SourceFile(msgspec.Struct, frozen=True):
    """A file that the set was made from."""

    file: str
    """Path relative to SRC (labels: relative to the folder of labels)."""
    bytes: Count
    sha256: Sha256
    """Of a label file's bytes; of an archive's directory, which holds the CRC-32 of every member."""


class Source(msgspec.Struct, frozen=True):
    """What the set was made from."""

    dataset: str
    """Name of the dataset; in a set of the variant ``city1m``, "City1M"."""
    archives: list[SourceFile]
    """The archives that frames were looked for in."""
    labels: list[SourceFile]
    """The label files."""


class Decision(msgspec.Struct, frozen=True):
    """A choice that the source's documentation leaves open."""

    choice: str
    evidence: dict[str, Any]
    """What the choice rests on: counts by name; ``{"given": true}`` where an option made it."""


class ShardFile(msgspec.Struct, frozen=True):
    """A shard of a cell."""

    file: str
    """Path relative to the manifest."""
    samples: PositiveCount
    """Samples in the shard."""
    units: PositiveCount
    """Units in the shard."""
    bytes: PositiveCount
    """Size of the shard in bytes."""
    sha256: Sha256
    """Of the shard's bytes."""


class IndexFile(msgspec.Struct, frozen=True):
    """The index of a cell."""

    file: str
    """Path relative to the manifest."""
    sha256: Sha256


class Cell(msgspec.Struct, frozen=True):
    """The samples that are in the same splits."""

    samples: Count
    """Samples of the cell."""
    units: Count
    """Units of the cell: in ``city1m``, frames."""
    shuffle: CellShuffle
    """How the cell's units are ordered; where the options say ``auto``, what that meant for this cell."""
    index: IndexFile
    """The cell's index."""
    shards: list[ShardFile]
    """The cell's shards, in the order of their numbers."""


class Account(msgspec.Struct, frozen=True):
    """What the source names of one kind, and what became of it: ``total`` is ``kept`` and ``rejected`` together."""

    total: Count
    """How many of them the source names."""
    kept: Count
    """How many of them are in the set."""
    rejected: Count
    """How many of them are lost; ``rejects.jsonl`` says why."""

    def less(self, lost: int) -> "Account":
        """Return the account after ``lost`` more of what was kept are rejected."""
        return Account(self.total, self.kept - lost, self.rejected + lost)


def spell_losses(accounts: Mapping[str, Account]) -> str:
    """Say how much of each account is rejected."""
    return ", ".join(f"{account.rejected:,} of {account.total:,} {name}" for name, account in accounts.items())


class Totals(msgspec.Struct, frozen=True):
    """What went in and what came out."""

    accounts: dict[str, Account]
    """What the source names, by name, in the order of the variant."""
    units: Count
    """Units with a sample."""
    samples: Count
    """Samples of all cells."""
    shards: Count
    """Shards of all cells."""
    bytes: Count
    """Bytes of all shards."""

    def check(self, variant: Variant) -> None:
        """Raise ``SpecError`` unless everything that the source names is accounted for."""
        if tuple(self.accounts) != variant.accounts:
            raise SpecError(f"its accounts are {', '.join(self.accounts) or 'none'}, not {', '.join(variant.accounts)}")
        for name, account in self.accounts.items():
            if account.total != account.kept + account.rejected:
                raise SpecError(
                    f"account {name}: {account.kept} kept and {account.rejected} rejected are not {account.total}"
                )
        counted = [(variant.samples_account, "samples", self.samples)]
        if variant.units_account is not None:
            counted.append((variant.units_account, "units", self.units))
        for name, what, count in counted:
            if self.accounts[name].kept != count:
                raise SpecError(f"account {name}: {self.accounts[name].kept} kept, but the set has {count} {what}")


class SetFile(msgspec.Struct, frozen=True):
    """A file of the set that is neither a shard nor an index nor the manifest."""

    bytes: Count
    sha256: Sha256


class Description(msgspec.Struct, frozen=True):
    """The manifest without ``files`` and ``sha256``: what the files that describe the set are made from."""

    spec: str
    """Version of the shard format: "1.0"."""
    variant: str
    """Which sidecar the samples have: "city1m"."""
    source: Source
    options: dict[str, Any]
    """The options of the conversion that bear on the bytes."""
    versions: dict[str, str]
    """The versions that bear on the bytes."""
    plan_digest: Sha256
    """Identifies the conversion: SHA-256 over everything that decides what the set holds."""
    decisions: dict[str, Decision]
    protocols: dict[Name, dict[Name, list[str]]]
    """Protocol ("p1") to split ("train") to the cells whose union it is."""
    cells: dict[str, Cell]
    totals: Totals
    notes: dict[str, Count]
    """Count of each note that occurred, by its code."""
    rejects: dict[str, Count]
    """Lines of ``rejects.jsonl`` by reason, of those that occurred."""


class Manifest(Description, frozen=True):
    """``dataset.json``."""

    files: dict[str, SetFile]
    """Path of every other file of the set (the card and the rejects) to its size and digest."""
    sha256: Sha256
    """Of the bytes of the manifest before this field's line."""


class _Head(msgspec.Struct, frozen=True):
    """What says whether this version can read the rest."""

    spec: str
    variant: str


_head_decoder = msgspec.json.Decoder(_Head)
_decoder = msgspec.json.Decoder(Manifest)
Struct = TypeVar("Struct", _Head, Manifest)


def encode_manifest(description: Description, files: Mapping[str, SetFile]) -> bytes:
    """The bytes of ``dataset.json``: indented, for people read it too, and with its own digest as its last field."""
    fields = {name: getattr(description, name) for name in Description.__struct_fields__}
    text = msgspec.json.format(msgspec.json.encode({**fields, "files": dict(files)}), indent=2)
    return seal_manifest(text.removesuffix(b"\n}") + b",\n")


def seal_manifest(text: bytes) -> bytes:
    """Append the digest's line and the closing brace to a manifest's text before them."""
    return text + b'  "sha256": "%s"\n}\n' % hashlib.sha256(text).hexdigest().encode()


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
