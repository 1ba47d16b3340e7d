"""Who a labelled person is: the kinds of ids in tables and re-ID folders, and what names a person across a set."""

from collections.abc import Iterable, Mapping
from typing import Literal

from shards_spec.errors import SpecError

IdKind = Literal["labelled", "unlabelled", "distractor", "junk"]
"""What the labels say of a person.

``labelled``: this is the person of that id; ``unlabelled``: the labels do not say who it is; ``distractor``: it is none
of the persons who are looked for, so finding it is a mistake; ``junk``: the image shows no person or a bad part of one,
and evaluations leave it out.
"""

Scope = Literal["train", "test"]

TRAIN = "train"


def id_scope(splits: Mapping[str, Iterable[str]]) -> Scope:
    """Return the scope in which an id counts: ``train`` if some protocol has the sample in its split "train"."""
    return "train" if any(TRAIN in names for names in splits.values()) else "test"


def make_identity(person_id: str, splits: Mapping[str, Iterable[str]], *, is_shared: bool) -> str:
    """Return what names a labelled person across the set.

    Args:
        person_id: The id as labelled.
        splits: The splits of the sample, by protocol.
        is_shared: Whether an id names the same person in every split. Otherwise, the identity begins with the scope:
            ``train-7`` and ``test-7`` are two persons.
    """
    return identity_prefix(splits, is_shared=is_shared) + person_id


def identity_prefix(splits: Mapping[str, Iterable[str]], *, is_shared: bool) -> str:
    """Return what stands before the id in the identities of samples of these splits."""
    return "" if is_shared else f"{id_scope(splits)}-"


def find_identity(
    person_id: str | None, id_kind: IdKind, splits: Mapping[str, Iterable[str]], *, is_shared: bool
) -> str | None:
    """Return the identity of anybody whom labels name or do not name: that of a labelled person, else None."""
    if id_kind != "labelled" or person_id is None:
        return None
    return make_identity(person_id, splits, is_shared=is_shared)


def check_identity(
    person_id: str | None,
    identity: str | None,
    id_kind: IdKind,
    splits: Mapping[str, Iterable[str]],
    *,
    is_shared: bool,
) -> None:
    """Raise ``SpecError`` if an identity is not the one that follows from the labelled id, its kind and the splits."""
    if id_kind == "labelled" and person_id is None:
        raise SpecError("id_kind is 'labelled', but person_id is null")
    expected = find_identity(person_id, id_kind, splits, is_shared=is_shared)
    if identity != expected:
        raise SpecError(f"identity is {identity!r}, but by its person_id, id_kind and splits it is {expected!r}")
