"""What a conversion can be told: one dataclass, checked once."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from shards_spec.errors import SpecError, UsageError
from shards_spec.images import MAX_PIXELS
from shards_spec.options import BoxOrder, CropMode, IdentityScope, Shuffle, out_of_range, read_options


@dataclass(frozen=True, slots=True)
class Limit:
    """How many labelled members may be lost before a run counts as a bad one: a number or a share of all."""

    value: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"250"`` or ``"1%"``; raises ``UsageError`` for anything else."""
        match = re.fullmatch(r"(\d{1,15})|(\d{1,3}(?:\.\d{1,9})?)%", text.strip())
        if match is None:
            raise UsageError(f"--max-rejects {text}: give a number of members such as 250, or a share such as 1%")
        if match[1]:
            return cls(float(match[1]), is_share=False)
        share = float(match[2]) / 100
        if share > 1:
            raise UsageError(f"--max-rejects {text}: a share is at most 100%")
        return cls(share, is_share=True)

    @property
    def allows_all(self) -> bool:
        """Whether anything may be lost: ``100%``."""
        return self.is_share and self.value == 1

    def allows(self, rejected: int, total: int) -> bool:
        """Whether ``rejected`` of ``total`` is within the limit."""
        return rejected <= (self.value * total if self.is_share else self.value)

    def __str__(self) -> str:
        return f"{self.value * 100:g}%" if self.is_share else f"{self.value:.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a conversion. All but ``max_rejects`` bear on the bytes that come out.

    Raises:
        UsageError: a value is out of its range, or two contradict each other.
    """

    samples_per_shard: int = 10_000
    """Samples that a shard is planned to hold at most; a cell's shards are equal to one group's (or frame's) samples,
    by which a shard may be larger."""
    shuffle: Shuffle = "auto"
    """``auto`` is ``groups`` for cells with a train split and ``none`` for the others."""
    seed: int = 0
    margin: int = 0
    """Pixels to keep around each box."""
    box_order: BoxOrder = "auto"
    identity_scope: IdentityScope = "auto"
    crop: CropMode = "lossless"
    quality: int = 95
    """JPEG quality of crops that are encoded anew."""
    size: tuple[int, int] | None = None
    """Height and width in pixels that every crop is resized to; None keeps the frame's pixels."""
    max_rejects: Limit = Limit(0.01, is_share=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, (low, high) in out_of_range(self):
            given = spell_value(self.output_bearing()[name])
            raise UsageError(f"{option_name(name)} {given}: must be from {low} to {high}")
        if self.size is not None and self.size[0] * self.size[1] > MAX_PIXELS:
            raise UsageError(f"--size {self.size[0]}x{self.size[1]}: an image has at most {MAX_PIXELS:,} pixels")

    def output_bearing(self) -> dict[str, Any]:
        """The options that bear on the output, as JSON values: for the manifest and the plan's digest."""
        options = dataclasses.asdict(self)
        del options["max_rejects"]
        options["size"] = None if self.size is None else list(self.size)
        return options

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any]) -> Self:
        """Return the options that ``output_bearing`` gave these values for.

        Raises:
            SpecError: a value is missing, unknown or out of its range.
        """
        try:
            return cls(**msgspec.structs.asdict(read_options(dict(values))))
        except (msgspec.ValidationError, UsageError) as error:
            raise SpecError(f"the manifest's options are not those of a conversion: {error}") from error


def option_name(field: str) -> str:
    """The name that an option has on the command line: ``samples_per_shard`` as ``--samples-per-shard``."""
    return f"--{field.replace('_', '-')}"


def spell_value(value: Any) -> str:
    """An option's JSON value as it is given on the command line: ``[256, 128]`` as ``256x128``."""
    if value is None:
        return "not given"
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def parse_size(text: str) -> tuple[int, int]:
    """``"256x128"`` as (height, width); raises ``UsageError`` for anything else."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text.strip())
    if match is None:
        raise UsageError(f"--size {text}: give height x width in pixels, such as 256x128")
    return int(match[1]), int(match[2])
