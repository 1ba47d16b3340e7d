"""What samples of tables and of folders of crops must be beside what every sample is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from shards_spec.errors import SpecError
from shards_spec.manifest import Description
from shards_spec.variants.tables.extra import ExtraType, Scalar, check_extra, read_extra
from shards_spec.variants.tables.identity import IdKind, check_identity

IDS = "ids"
"""The decision where a person id counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """What the check of a sample must know of the manifest."""

    ids_are_shared: bool
    """Whether an id names the same person in every split."""
    extra: Mapping[str, ExtraType]
    """The further columns of the set and their types."""


class Labelled(Protocol):
    """The fields of a sidecar that say who is seen, and what else the labels say."""

    @property
    def person_id(self) -> str | None:
        """The person, as labelled."""

    @property
    def identity(self) -> str | None:
        """What names the person across the set."""

    @property
    def id_kind(self) -> IdKind:
        """What the labels say of the person."""

    @property
    def splits(self) -> Mapping[str, list[str]]:
        """The splits of the sample, by protocol."""

    @property
    def extra(self) -> Mapping[str, Scalar]:
        """The further columns."""


def label_rules(manifest: Description) -> LabelRules:
    """Return what the check of a sample must know of a manifest that has been found sound."""
    shared = manifest.decisions[IDS].choice == "shared"
    return LabelRules(ids_are_shared=shared, extra=read_extra(manifest.decisions))


def label_faults(manifest: Description) -> Iterator[str]:
    """Yield what is wrong with the further columns of a manifest whose decisions have their types."""
    try:
        read_extra(manifest.decisions)
    except SpecError as error:
        yield str(error)


def check_labels(sidecar: Labelled, rules: LabelRules) -> None:
    """Raise ``SpecError`` if a sidecar's identity or further columns are not those that the rules give."""
    check_identity(sidecar.person_id, sidecar.identity, sidecar.id_kind, sidecar.splits, is_shared=rules.ids_are_shared)
    check_extra(sidecar.extra, rules.extra)
