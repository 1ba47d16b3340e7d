"""The manifest ``dataset.json``: what a set consists of. Written last, so it exists only when the set is complete."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError, UsageError
from shards_spec.storage import Store

MANIFEST_FILE = "dataset.json"
REJECTS_FILE = "rejects.jsonl"

Count = Annotated[int, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


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
    archives: list[SourceFile]
    labels: list[SourceFile]


class Decision(msgspec.Struct, frozen=True):
    """A choice that the source's documentation leaves open."""

    choice: str
    evidence: dict[str, Any]
    """What the choice rests on: counts by name; ``{"given": true}`` where an option made it."""


class ShardFile(msgspec.Struct, frozen=True):
    """A shard of a cell."""

    file: str
    """Path relative to the manifest."""
    samples: Annotated[int, Meta(ge=1)]
    frames: Annotated[int, Meta(ge=1)]
    bytes: Annotated[int, Meta(ge=1)]
    sha256: Sha256


class IndexFile(msgspec.Struct, frozen=True):
    """The index of a cell."""

    file: str
    """Path relative to the manifest."""
    sha256: Sha256


class Cell(msgspec.Struct, frozen=True):
    """The frames that stand in the same splits."""

    samples: Count
    frames: Count
    index: IndexFile
    shards: list[ShardFile]


class Totals(msgspec.Struct, frozen=True):
    """What went in and what came out; ``check`` states how they add up."""

    label_lines: Count
    label_lines_rejected: Count
    labelled_frames: Count
    labelled_members: Count
    rejected_frames: Count
    rejected_members: Count
    frames: Count
    samples: Count
    shards: Count
    bytes: Count

    def check(self) -> None:
        """Raise ``SpecError`` unless every labelled frame and member is accounted for."""
        for name, labelled, written, rejected in (
            ("frames", self.labelled_frames, self.frames, self.rejected_frames),
            ("members", self.labelled_members, self.samples, self.rejected_members),
        ):
            if labelled != written + rejected:
                raise SpecError(
                    f"{labelled} {name} were labelled, but {written} written and {rejected} rejected make "
                    f"{written + rejected}"
                )


class Manifest(msgspec.Struct, frozen=True):
    """``dataset.json``."""

    spec: str
    variant: str
    """Which sidecar the samples have: "city1m"."""
    source: Source
    options: dict[str, Any]
    """The options of the conversion that bear on the bytes."""
    versions: dict[str, str]
    """The versions that bear on the bytes."""
    plan_digest: Sha256
    decisions: dict[str, Decision]
    protocols: dict[str, dict[str, list[str]]]
    """Protocol ("p1") to split ("train") to the cells whose union it is."""
    cells: dict[str, Cell]
    totals: Totals
    notes: dict[str, int]
    """Count of each note that occurred, by its code."""
    rejects: dict[str, int]
    """Lines of ``rejects.jsonl`` by reason, of those that occurred."""
    rejects_sha256: Sha256


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of ``dataset.json``: indented, for people read it too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Read ``dataset.json``; raises ``SpecError`` naming the first field that does not fit."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{MANIFEST_FILE} is damaged: {error}: delete it, and the command that made the set writes it again"
        ) from error
    if manifest.spec.partition(".")[0] != "1":
        raise SpecError(
            f"{MANIFEST_FILE}: spec {manifest.spec}, but this version reads 1.x: install a newer reid-shards"
        )
    return manifest


def manifest_bytes(store: Store) -> bytes:
    """The bytes of the manifest of the set in ``store``; raises ``UsageError`` where there is none."""
    try:
        return store.read_whole(MANIFEST_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{store.url}: no {MANIFEST_FILE} there: it is no set, or its conversion did not finish; then the same "
            "command continues it"
        ) from None


def read_manifest(store: Store) -> Manifest:
    """The manifest of the set in ``store``.

    Raises:
        UsageError: there is none.
        SpecError: it cannot be read.
    """
    data = manifest_bytes(store)
    try:
        return decode_manifest(data)
    except SpecError as error:
        raise SpecError(f"{store.url}/{error}") from error
