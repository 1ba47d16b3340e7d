"""The manifest ``dataset.json``: what a set consists of. Written last, so it exists only when the set is complete."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shards_spec.jsons import Count, PositiveCount
from shards_spec.options import CellShuffle
from shards_spec.rejects import Noted

MANIFEST_FILE = "dataset.json"
REJECTS_FILE = "rejects.jsonl"

DIGEST_LINE_BYTES = 81
"""Size of what ``seal_manifest`` appends: the manifest's last field, its closing brace and two line ends."""

MANIFEST_BYTES = 64 * 2**20
"""Size of the largest manifest: one of ``MAX_SHARDS`` shards has at most 50 MB."""
MAX_SHARDS = 150_000

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]  # "$" alone lets a line end pass


Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9]*$")]
"""Name of a protocol or a split. It becomes part of the names of cells and files."""


class SourceFile(msgspec.Struct, frozen=True):
    """A file that the set was made from."""

    file: str
    """Path relative to the source's folder; for label files, relative to the folder of labels."""
    bytes: Count
    """Size of the file in bytes."""
    sha256: Sha256
    """SHA-256 of a label file's bytes; of a zip, over its directory, which holds the CRC-32 of every entry."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the set was made from."""

    dataset: str
    """Name of the dataset, such as "SYSU-30k"."""
    archives: list[SourceFile]
    """The archives that images were looked for in, sorted by path."""
    labels: list[SourceFile]
    """The label files."""
    demo: bool = False
    """True if this is a look-alike of the dataset, drawn by ``reid-shards demo``; left out otherwise."""

    @property
    def title(self) -> str:
        """The name of the dataset for people, who must not take a demo for the dataset itself."""
        return f"{self.dataset} look-alike" if self.demo else self.dataset


class Decision(msgspec.Struct, frozen=True):
    """A choice that the source's documentation leaves open."""

    choice: str
    """What was chosen."""
    evidence: dict[str, Any]
    """Counts by name that the choice rests on; ``{"given": true}`` where an option made it."""


GIVEN = {"given": True}
"""Evidence of a decision that an option made."""


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
    """SHA-256 of the shard's bytes."""


class IndexFile(msgspec.Struct, frozen=True):
    """The index of a cell."""

    file: str
    """Path relative to the manifest."""
    sha256: Sha256
    """SHA-256 of the index's bytes."""


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


class SetFile(msgspec.Struct, frozen=True):
    """A file of the set that is neither a shard nor an index nor the manifest."""

    bytes: Count
    """Size of the file in bytes."""
    sha256: Sha256
    """SHA-256 of its bytes."""


class Description(msgspec.Struct, frozen=True):
    """The manifest without ``files`` and ``sha256``: what the files that describe the set are made from."""

    spec: str
    """Version of the shard format: "1.0"."""
    variant: str
    """What the samples are: "city1m"."""
    source: Origin
    """What the set was made from."""
    options: dict[str, Any]
    """The options of the conversion that bear on the bytes."""
    versions: dict[str, str]
    """The versions that bear on the bytes, by name."""
    plan_digest: Sha256
    """Identifies the conversion: SHA-256 over everything that decides what the set holds."""
    decisions: dict[str, Decision]
    """The choices that the source's documentation leaves open, by name."""
    protocols: dict[Name, dict[Name, list[str]]]
    """Protocol ("p1") to split ("train") to the names of the cells whose union it is."""
    cells: dict[str, Cell]
    """The cells by name."""
    totals: Totals
    """What went in and what came out."""
    notes: dict[str, Noted]
    """Count and examples of each note that occurred, by its code."""
    rejects: dict[str, Count]
    """Number of lines of ``rejects.jsonl`` by their reason."""

    def note_count(self, note: str) -> int:
        """Return how often a note occurred."""
        noted = self.notes.get(note)
        return 0 if noted is None else noted.count

    def cell_splits(self, cell: str) -> dict[str, list[str]]:
        """Return the sorted splits, by protocol, that a cell stands for."""
        return {
            protocol: sorted(split for split, cells in splits.items() if cell in cells)
            for protocol, splits in self.protocols.items()
        }


class Manifest(Description, frozen=True):
    """The content of ``dataset.json``."""

    files: dict[str, SetFile]
    """Path of every other file of the set to its size and digest: the card, the rejects, and what the variant adds."""
    sha256: Sha256
    """SHA-256 of the bytes of the manifest before this field's line."""


def encode_manifest(description: Description, files: Mapping[str, SetFile]) -> bytes:
    """The bytes of ``dataset.json``: indented, for people read it too, and with its own digest as its last field."""
    fields = {name: getattr(description, name) for name in Description.__struct_fields__}
    text = msgspec.json.format(msgspec.json.encode({**fields, "files": dict(files)}), indent=2)
    return seal_manifest(text.removesuffix(b"\n}") + b",\n")


def seal_manifest(text: bytes) -> bytes:
    """Append the digest's line and the closing brace to a manifest's text before them."""
    return text + b'  "sha256": "%s"\n}\n' % hashlib.sha256(text).hexdigest().encode()
