"""What counts decide for labels: only what is clear."""

import pytest

from shards_spec.variants.tables.evidence import (
    BoxFormatEvidence,
    CategoryEvidence,
    LayoutEvidence,
    PathsEvidence,
    PersonFieldEvidence,
    SplitsFromEvidence,
)


@pytest.mark.parametrize(
    ("counts", "choice"), [((9, 3, 0), "person_id"), ((9, 1, 9), "person_id"), ((9, 0, 0), "none"), ((9, 0, 1), None)]
)
def test_a_field_that_only_may_name_persons_decides_nothing(counts: tuple[int, int, int], choice: str | None) -> None:
    assert PersonFieldEvidence(*counts).choice() == choice


@pytest.mark.parametrize(
    ("categories", "choice"),
    [
        ({}, "all"),
        ({"walker": 3}, "walker"),
        ({"car": 9, "Person": 1}, "Person"),
        ({"car": 9, "bus": 1}, None),
        ({"person": 1, "Person": 1}, None),
    ],
)
def test_the_category_is_person_or_the_only_one(categories: dict[str, int], choice: str | None) -> None:
    assert CategoryEvidence(categories).choice() == choice


@pytest.mark.parametrize(
    ("counts", "choice"),
    [
        ((True, 0, 0, 0, 0), "xywh"),
        ((False, 100, 1, 0, 0), "xywh"),
        ((False, 1000, 1, 0, 0), None),
        ((False, 100, 0, 0, 0), None),
        ((False, 100, 0, 10, 5), "xyxy"),
        ((False, 100, 0, 10, 4), None),
        ((False, 0, 0, 0, 0), None),
    ],
)
def test_boxes_that_could_be_both_decide_nothing(counts: tuple[bool, int, int, int, int], choice: str | None) -> None:
    assert BoxFormatEvidence(*counts).choice() == choice


def test_splits_come_from_labels_then_from_files() -> None:
    assert SplitsFromEvidence(5, 1, 2, 2).choice() == "labels"
    assert SplitsFromEvidence(5, 0, 2, 1).choice() == "files"
    assert SplitsFromEvidence(5, 0, 1, 0).choice() == "none"


@pytest.mark.parametrize(
    ("counts", "choice"),
    [
        ((1, 3, 0, 0), "table"),
        ((0, 3, 0, 0), "market1501"),
        ((0, 0, 4, 1), "msmt17"),
        ((0, 1, 1, 0), None),
        ((0, 0, 0, 1), "pattern"),
        ((0, 0, 0, 0), None),
    ],
)
def test_a_layout_is_told_by_the_only_sign_of_one(counts: tuple[int, int, int, int], choice: str | None) -> None:
    assert LayoutEvidence(*counts).choice() == choice


def test_each_says_its_counts() -> None:
    for evidence in (
        PersonFieldEvidence(9, 3, 0),
        CategoryEvidence({"person": 3}),
        BoxFormatEvidence(False, 9, 1, 9, 3),
        SplitsFromEvidence(9, 3, 1, 0),
        LayoutEvidence(0, 3, 0, 0),
        PathsEvidence(9, 3, 0, ""),
        PathsEvidence(9, 0, 3, "home/me/"),
    ):
        assert "3" in evidence.sentence()
        assert evidence.question.endswith("?")
