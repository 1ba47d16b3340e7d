"""The options of a conversion that bear on the bytes of a set, as the manifest has them.

Types and ranges of these options are declared here alone; the command line takes them from here.
"""

from collections.abc import Collection, Iterator, Mapping
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
BoxOrder = Literal["auto", "xywh", "xyhw"]
IdentityScope = Literal["auto", "group", "global"]
CropMode = Literal["lossless", "reencode"]
Quality = Annotated[int, Range(1, 100)]
Side = Annotated[int, Range(1, 10_000)]


class ConversionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest's ``options``."""

    samples_per_shard: SamplesPerShard
    """Samples that a shard is planned to hold at most; it may hold up to one group's (or unit's) samples more."""
    shuffle: Shuffle
    """The order of a cell's units: whole groups shuffled, short runs of units shuffled, or none, which is as they
    lie in the source; ``auto`` is ``groups`` for cells with a train split and ``none`` for the others."""
    seed: Seed
    """Seed of the shuffle."""
    crop: CropMode
    """``lossless`` cuts in the bitstream where that can be done, ``reencode`` encodes every crop anew."""
    margin: Margin
    """Pixels kept around each box."""
    quality: Quality
    """JPEG quality of crops that are encoded anew."""
    size: tuple[Side, Side] | None
    """Height and width in pixels that every crop is resized to; null keeps the frame's pixels."""
    box_order: BoxOrder
    """The order of a label's box numbers; ``auto`` leaves it to the decision of this name."""
    identity_scope: IdentityScope
    """Where a person id counts; ``auto`` leaves it to the decision of this name."""


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


OPTION_RANGES: Final = {
    name: found
    for name, hint in get_type_hints(ConversionOptions, include_extras=True).items()
    if (found := find_range(hint)) is not None
}
"""The range of each option that is a number, or two."""


def read_options(options: dict[str, Any]) -> ConversionOptions:
    """The options of a manifest; raises ``msgspec.ValidationError`` for one that is missing, unknown or ill-typed."""
    return msgspec.convert(options, ConversionOptions)


def out_of_range(options: Any) -> Iterator[tuple[str, Range]]:
    """Name and range of each option that is out of its range.

    Args:
        options: ``ConversionOptions``, or whatever else has these options as attributes.
    """
    for name, allowed in OPTION_RANGES.items():
        value = getattr(options, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(number is not None and number not in allowed for number in numbers):
            yield name, allowed
