"""What was decided where the source leaves a choice, as sentences."""

from collections.abc import Mapping
from typing import Any

from shards_spec.manifest import Decision

_QUESTIONS = {
    "box_order": "In which order do the four numbers of a labelled box stand?",
    "identity_scope": "Does a person id name the same person in every group?",
}
_MEANINGS = {
    ("box_order", "xywh"): "Left, top, width, height.",
    ("box_order", "xyhw"): "Left, top, height, width.",
    ("identity_scope", "group"): "No: ids count the members of a group, so that an identity is a group and an id.",
    ("identity_scope", "global"): "Yes: an id names one person in the whole dataset.",
}
_SENTENCES = {
    "box_order": "Of {boxes} boxes in frames of {frame_size} pixels, {odd_as_xywh} leave the frame or are wider than "
    "tall if the numbers are x, y, width, height, and {odd_as_xyhw} if they are x, y, height, width.",
    "identity_scope": "Of {members} labelled members, {ids_not_below_member_count} have an id that is not below the "
    "number of members in their frame's name. Of {distinct_ids} different ids, {ids_in_several_groups} occur in "
    "several groups.",
}


def question(name: str) -> str:
    """Return what a decision answers."""
    return _QUESTIONS.get(name, name.replace("_", " ").capitalize())


def meaning(name: str, choice: str) -> str:
    """Return what a choice means, which is empty where its name says all."""
    return _MEANINGS.get((name, choice), "")


def evidence(name: str, decision: Decision) -> str:
    """Return what a decision rests on."""
    counts = decision.evidence
    if counts.get("given") is True:
        return "An option of the conversion made this choice."
    sentence = _SENTENCES.get(name)
    try:
        if sentence is not None:
            return sentence.format_map({key: _spelled(value) for key, value in counts.items()})
    except KeyError:  # evidence of another form than this version knows
        pass
    return _listed(counts)


def _listed(counts: Mapping[str, Any]) -> str:
    return "; ".join(f"{key.replace('_', ' ')}: {_spelled(value)}" for key, value in counts.items())


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)
