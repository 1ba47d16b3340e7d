"""Who a labelled person is, and what names the person across a set."""

import pytest

from shards_spec.errors import SpecError
from shards_spec.variants.tables import make_identity
from shards_spec.variants.tables.identity import IdKind, check_identity

TRAIN, TEST, ALL = {"p1": ["train"]}, {"p1": ["gallery", "query"]}, {"p1": ["all"]}


@pytest.mark.parametrize(
    ("splits", "is_shared", "identity"),
    [(TRAIN, False, "train-7"), (TEST, False, "test-7"), (ALL, False, "test-7"), (TRAIN, True, "7"), (TEST, True, "7")],
)
def test_an_id_counts_in_train_and_everywhere_else_unless_it_is_shared(
    splits: dict[str, list[str]], is_shared: bool, identity: str
) -> None:
    assert make_identity("7", splits, is_shared=is_shared) == identity
    check_identity("7", identity, "labelled", splits, is_shared=is_shared)
    with pytest.raises(SpecError, match=r"identity is None, but by its person_id, id_kind and splits it is"):
        check_identity("7", None, "labelled", splits, is_shared=is_shared)


def test_one_protocol_with_the_sample_in_train_is_enough() -> None:
    assert make_identity("7", {"p1": ["gallery"], "p2": ["train"]}, is_shared=False) == "train-7"


@pytest.mark.parametrize("kind", ["unlabelled", "distractor", "junk"])
def test_nobody_but_a_labelled_person_has_an_identity(kind: IdKind) -> None:
    for person_id in (None, "-1"):
        check_identity(person_id, None, kind, TRAIN, is_shared=False)
        with pytest.raises(SpecError, match="it is None"):
            check_identity(person_id, "train--1", kind, TRAIN, is_shared=False)


def test_a_labelled_person_has_an_id() -> None:
    with pytest.raises(SpecError, match="person_id is null"):
        check_identity(None, None, "labelled", TRAIN, is_shared=False)
