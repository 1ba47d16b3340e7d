"""The options of a conversion that bear on the bytes of a set, as the manifest has them."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

Shuffle = Literal["auto", "groups", "frames", "none"]
BoxOrder = Literal["auto", "xywh", "xyhw"]
IdentityScope = Literal["auto", "group", "global"]
CropMode = Literal["lossless", "reencode"]

OPTION_RANGES: Final = {
    "samples_per_shard": (1, 1_000_000),
    "seed": (0, 2**63 - 1),
    "margin": (0, 10_000),
    "quality": (1, 100),
    "size": (1, 10_000),
}
"""Lowest and highest value of each option that is a number; ``size`` is two."""


class ConversionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest's ``options``."""

    samples_per_shard: int
    """Samples that a shard is planned to hold at most; it may hold up to one group's (or frame's) samples more."""
    shuffle: Shuffle
    """The order of a cell's frames: whole groups shuffled, short runs of frames shuffled, or none, which is as they
    lie in the archives; ``auto`` is ``groups`` for cells with a train split and ``none`` for the others."""
    seed: int
    """Seed of the shuffle."""
    margin: int
    """Pixels kept around each box."""
    box_order: BoxOrder
    """The order of a label's box numbers; ``auto`` leaves it to the decision of this name."""
    identity_scope: IdentityScope
    """Where a person id counts; ``auto`` leaves it to the decision of this name."""
    crop: CropMode
    """``lossless`` cuts in the bitstream where that can be done, ``reencode`` encodes every crop anew."""
    quality: int
    """JPEG quality of crops that are encoded anew."""
    size: tuple[int, int] | None
    """Height and width in pixels that every crop is resized to; null keeps the frame's pixels."""


def read_options(options: dict[str, Any]) -> ConversionOptions:
    """The options of a manifest; raises ``msgspec.ValidationError`` for one that is missing, unknown or ill-typed."""
    return msgspec.convert(options, ConversionOptions)


def out_of_range(options: Any) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name and range of each option that is out of its range.

    Args:
        options: ``ConversionOptions``, or whatever else has these options as attributes.
    """
    for name, (low, high) in OPTION_RANGES.items():
        value = getattr(options, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(number is not None and not low <= number <= high for number in numbers):
            yield name, (low, high)
