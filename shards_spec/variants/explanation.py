"""Decisions as sentences: what was asked, what the choice means, and what it rests on."""

from dataclasses import dataclass

import msgspec

from shards_spec.manifest import GIVEN, Decision
from shards_spec.variants.base import Variant


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in words."""

    question: str
    """The question that it answers."""
    choice: str
    """The name of the choice."""
    meaning: str
    """What the choice means, as a sentence; empty if its name says all."""
    evidence: str
    """What it rests on, as sentences."""


def explain(variant: Variant, name: str, decision: Decision) -> Explanation:
    """Return a decision in words.

    A decision that this version does not know, and evidence of another form than it knows, are spelled out.

    Args:
        variant: The variant of the set or source.
        name: The name of the decision.
        decision: The decision, which may come from an untrusted manifest.
    """
    kind = variant.decisions.get(name)
    question = name.replace("_", " ").capitalize() if kind is None else kind.question
    meaning = "" if kind is None else kind.meanings.get(decision.choice, "")
    if decision.evidence == GIVEN:
        evidence = "An option of the conversion made this choice."
    elif kind is None:
        evidence = _listed(decision)
    else:
        try:
            evidence = msgspec.convert(decision.evidence, kind).sentence()
        except msgspec.ValidationError:
            evidence = _listed(decision)
    return Explanation(question, decision.choice, meaning, evidence)


def _listed(decision: Decision) -> str:
    return "; ".join(
        f"{key.replace('_', ' ')}: {f'{value:,}' if isinstance(value, int) else value}"
        for key, value in decision.evidence.items()
    )
