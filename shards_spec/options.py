"""The options of a conversion that bear on the bytes of a set, as the manifest has them.

Types and ranges of these options are declared here, and those of a variant's own options beside the variant. The
command line takes them from there.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec

MAX_INT64: Final = 2**63 - 1
"""The largest seed: the largest number that a signed 64-bit integer holds."""


@dataclass(frozen=True, slots=True)
class Range:
    """The range of a number, both ends included; stands in the ``Annotated`` type of an option."""

    low: int
    high: int

    def __contains__(self, number: int) -> bool:
        return self.low <= number <= self.high

    def __str__(self) -> str:
        high = "2^63 - 1" if self.high == MAX_INT64 else f"{self.high:,}"
        return f"{self.low:,} to {high}"


SamplesPerShard = Annotated[int, Range(1, 1_000_000)]
Shuffle = Literal["auto", "groups", "units", "none"]
CellShuffle = Literal["groups", "units", "none"]
Seed = Annotated[int, Range(0, MAX_INT64)]
Margin = Annotated[int, Range(0, 10_000)]
CropMode = Literal["lossless", "reencode"]
Quality = Annotated[int, Range(1, 100)]
Side = Annotated[int, Range(1, 10_000)]


class CommonOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of every conversion."""

    samples_per_shard: SamplesPerShard
    """Samples that a shard is planned to hold at most; it may hold up to one group's (or unit's) samples more."""
    shuffle: Shuffle
    """The order of a cell's units: whole groups shuffled (``groups``), short runs of units shuffled (``units``), or the
    order of the source (``none``); ``auto`` is ``groups`` for cells with a train split and ``none`` for the others."""
    seed: Seed
    """Seed of the shuffle."""


class CutOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a conversion that cuts images out of frames."""

    crop: CropMode
    """``lossless`` cuts in the bitstream where that can be done, ``reencode`` encodes every crop anew."""
    margin: Margin
    """Pixels kept around each box."""
    quality: Quality
    """JPEG quality of crops that are encoded anew."""
    size: tuple[Side, Side] | None
    """Height and width in pixels that every crop is resized to; null keeps the frame's pixels."""


def resolve_shuffle(shuffle: Shuffle, splits: Mapping[str, Collection[str]]) -> CellShuffle:
    """Return how a cell's units are ordered; ``auto`` means ``groups`` for the cells of a train split.

    Args:
        shuffle: The option of this name.
        splits: The splits of the cell, by protocol.
    """
    if shuffle != "auto":
        return shuffle
    return "groups" if any("train" in names for names in splits.values()) else "none"


def find_range(hint: Any) -> Range | None:
    """Return the range that a type hint declares for its number or numbers; None if it declares none."""
    for part in get_args(hint):
        found = part if isinstance(part, Range) else find_range(part)
        if found is not None:
            return found
    return None


def option_ranges(group: type[msgspec.Struct]) -> dict[str, Range]:
    """Return the range of each option of a group that is a number, or two."""
    hints = get_type_hints(group, include_extras=True)
    return {name: found for name, hint in hints.items() if (found := find_range(hint)) is not None}


def read_options(options: Mapping[str, Any], groups: Sequence[type[msgspec.Struct]]) -> Iterator[msgspec.Struct]:
    """Yield each group of a manifest's options.

    Raises:
        msgspec.ValidationError: An option is missing, unknown or ill-typed.
    """
    known = {name for group in groups for name in group.__struct_fields__}
    for name in options:
        if name not in known:
            raise msgspec.ValidationError(f"there is no option {name!r}")
    for group in groups:
        yield msgspec.convert({name: options[name] for name in group.__struct_fields__ if name in options}, group)


def out_of_range(group: msgspec.Struct) -> Iterator[tuple[str, Range]]:
    """Yield the name and the range of each option of a group that is out of its range."""
    for name, allowed in option_ranges(type(group)).items():
        value = getattr(group, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(number is not None and number not in allowed for number in numbers):
            yield name, allowed
