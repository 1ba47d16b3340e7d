"""Decisions in words."""

import pytest

from shards_spec.manifest import GIVEN, Decision
from shards_spec.variants import Variant
from shards_spec.variants.explanation import explain
from shards_spec.variants.registry import VARIANTS
from tests.pipeline.sources.toy_variant import PAIRS

DECISIONS = [(variant, name) for variant in VARIANTS for name in variant.decisions]


@pytest.mark.parametrize(("variant", "name"), DECISIONS, ids=lambda one: one if isinstance(one, str) else one.name)
def test_every_decision_asks_a_question_and_says_what_choices_mean(variant: Variant, name: str) -> None:
    kind = variant.decisions[name]
    assert kind.question.endswith("?")
    assert all(meaning.endswith(".") for meaning in kind.meanings.values())
    told = explain(variant, name, Decision(next(iter(kind.meanings), "any"), GIVEN))
    assert told.evidence == "An option of the conversion made this choice."
    assert told.meaning == next(iter(kind.meanings.values()), "")


@pytest.mark.parametrize("name", ["box_shape", "box_order"])
def test_what_this_version_does_not_know_is_spelled_out(name: str) -> None:
    variant = PAIRS if name == "box_shape" else VARIANTS[0]
    told = explain(variant, name, Decision("round", {"corners_seen": 1200, "note": "<b>"}))
    assert (told.choice, told.meaning) == ("round", "")
    assert told.evidence == "corners seen: 1,200; note: <b>"
