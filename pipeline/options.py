"""What a conversion can be told: one dataclass that declares each option once and checks all of them.

The command line, the manifest and the plan's digest derive from its fields. What the format says of an option that the
manifest records, its type and its range, comes from ``shards_spec.options``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, get_type_hints

import msgspec

from shards_spec.errors import SpecError, UsageError
from shards_spec.images import MAX_PIXELS
from shards_spec.options import (
    BoxOrder,
    CropMode,
    IdentityScope,
    Margin,
    Quality,
    SamplesPerShard,
    Seed,
    Shuffle,
    Side,
    out_of_range,
    read_options,
)

CITY1M = "City1M"
"""Help panel of the options that only a source of this kind has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a field of ``Options`` declares beside its type, range and default."""

    help: str
    """What the option does, in full sentences."""
    metavar: str | None = None
    """The placeholder of its value in help texts; None where the value is one of a few words, which are listed."""
    parse: Callable[[str], Any] | None = None
    """Makes the value of the text given on the command line, where it is neither a number nor one of a few words."""
    panel: str | None = None
    """Help panel; None for the one of common options."""
    bears_on_plan: bool = True
    """Whether ``plan`` takes it: it changes what a plan shows."""
    bears_on_output: bool = True
    """Whether it bears on the bytes of a set: the manifest records it, and it enters the plan's digest."""


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


def parse_size(text: str) -> tuple[int, int]:
    """``"256x128"`` as (height, width); raises ``UsageError`` for anything else."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text.strip())
    if match is None:
        raise UsageError(f"--size {text}: give height x width in pixels, such as 256x128")
    return int(match[1]), int(match[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a conversion.

    Raises:
        UsageError: a value is out of its range, or two contradict each other.
    """

    samples_per_shard: Annotated[
        SamplesPerShard,
        Option(
            metavar="N",
            help="Crops that a shard is planned to hold at most; it may hold up to one group's (or frame's) crops "
            "more. 10,000 crops make about 70 MB.",
        ),
    ] = 10_000
    shuffle: Annotated[
        Shuffle,
        Option(
            help="groups: a shard holds whole groups (of up to 100,000 crops) drawn from all over, its frames "
            "shuffled, as identity batches need it. frames: blocks of frames drawn from all over: better mixed, but no "
            "identity batches. none: as in the archives. auto: groups for cells with a train split, none for the "
            "others."
        ),
    ] = "auto"
    seed: Annotated[Seed, Option(metavar="N", help="Seed of the shuffle.")] = 0
    margin: Annotated[Margin, Option(metavar="PIXELS", help="Pixels to keep around each box.", bears_on_plan=False)] = 0
    box_order: Annotated[
        BoxOrder,
        Option(
            help="What the four numbers of a label's box are. auto: the order under which the boxes fit their frames.",
            panel=CITY1M,
        ),
    ] = "auto"
    identity_scope: Annotated[
        IdentityScope,
        Option(
            help="Whether a person id counts inside its group (group) or names a person by itself (global). auto: what "
            "the labels show.",
            panel=CITY1M,
        ),
    ] = "auto"
    crop: Annotated[
        CropMode,
        Option(
            help="lossless: cut in the JPEG bitstream. reencode: decode, cut and compress again.", bears_on_plan=False
        ),
    ] = "lossless"
    quality: Annotated[
        Quality,
        Option(metavar="N", help="JPEG quality of the crops that are compressed again.", bears_on_plan=False),
    ] = 95
    size: Annotated[
        tuple[Side, Side] | None,
        Option(
            metavar="HxW",
            parse=parse_size,
            help="Resize every crop to this height and width in pixels, such as 256x128.",
            bears_on_plan=False,
        ),
    ] = None
    max_rejects: Annotated[
        Limit,
        Option(
            metavar="N|N%",
            parse=Limit.parse,
            help="Labelled members that may be lost before the exit code is 3. 100% accepts an incomplete source, too.",
            bears_on_output=False,
        ),
    ] = Limit(0.01, is_share=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, allowed in out_of_range(self):
            given = spell_value(self.output_bearing()[name])
            raise UsageError(f"{option_name(name)} {given}: must be from {allowed}")
        if self.size is not None and self.size[0] * self.size[1] > MAX_PIXELS:
            raise UsageError(f"--size {self.size[0]}x{self.size[1]}: an image has at most {MAX_PIXELS:,} pixels")

    def output_bearing(self) -> dict[str, Any]:
        """The options that bear on the output, as JSON values: for the manifest and the plan's digest."""
        values = {name: getattr(self, name) for name, _, option in declared_options() if option.bears_on_output}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

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


def declared_options() -> Iterator[tuple[str, Any, Option]]:
    """Yield the name, the type with its range, and the declaration of each option, in the order of the fields."""
    for name, hint in get_type_hints(Options, include_extras=True).items():
        *_, option = hint.__metadata__
        yield name, hint, option


def option_name(field: str) -> str:
    """The name that an option has on the command line: ``samples_per_shard`` as ``--samples-per-shard``."""
    return f"--{field.replace('_', '-')}"


def spell_value(value: Any) -> str:
    """An option's JSON value as it is given on the command line: ``[256, 128]`` as ``256x128``."""
    if value is None:
        return "not given"
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
