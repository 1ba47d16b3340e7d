"""Values of options: what is wrong with one is said in words that name the option and what it takes."""

import re
from collections.abc import Callable, Iterable, Sequence

from shards_spec.errors import UsageError
from shards_spec.options import Range

POSITIVE = Range(1, 1_000_000)
NATURAL = Range(0, 1_000_000)


def whole_number(option: str, allowed: Range) -> Callable[[str], int]:
    """Return a function that reads an option's whole number; it raises ``UsageError`` for anything else."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,30}", str(text).strip()):
            raise UsageError(f"{option} {text}: give a whole number from {allowed}")
        number = int(text)
        if number not in allowed:
            raise UsageError(f"{option} {text}: must be from {allowed}")
        return number

    return parse


def one_of(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    """Return a function that reads one of a few words; it raises ``UsageError`` for another."""

    def parse(text: str) -> str:
        if text not in choices:
            raise UsageError(f"{option} {text}: choose {spell_choices(choices)}")
        return text

    return parse


def spell_choices(choices: Sequence[str]) -> str:
    """Return words to choose from: "a, b or c"."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices)


def begins_with(choices: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that completes one of a few words for a shell."""
    known = list(choices)
    return lambda incomplete: [choice for choice in known if choice.startswith(incomplete)]
