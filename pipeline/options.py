"""What a conversion can be told: dataclasses that declare each option once and check it.

There are three groups: the options of every conversion, those of cutting, and a source's own, which the source declares
in its folder. The command line, the manifest and the plan's digest derive from their fields. What the format says of an
option that the manifest records, its type and its range, comes from ``shards_spec``.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Self, get_type_hints

from shards_spec.errors import UsageError
from shards_spec.images import MAX_PIXELS
from shards_spec.options import CropMode, Margin, Quality, SamplesPerShard, Seed, Shuffle, Side, find_range


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a field of an ``OptionGroup`` declares beside its type, range and default."""

    help: str
    """What the option does, in full sentences."""
    metavar: str | None = None
    """The placeholder of its value in help texts; None where the value is one of a few words, which are listed."""
    parse: Callable[[str], Any] | None = None
    """Makes the value of the text given on the command line, where it is neither a number nor one of a few words."""
    bears_on_plan: bool = True
    """Whether ``plan`` takes it: it changes what a plan shows."""
    bears_on_output: bool = True
    """Whether it bears on the bytes of a set: the manifest records it, and it enters the plan's digest."""
    is_place: bool = False
    """Whether its value is a folder or URL that the source is read from. Such places are checked before any work."""
    shown_default: str | None = None
    """What help texts show as the default; None where the default itself is shown."""


class DeclaredOption(NamedTuple):
    """A field of an ``OptionGroup``."""

    name: str
    """The name of the field: ``samples_per_shard``."""
    hint: Any
    """The annotated type of the field, with its range."""
    option: Option
    default: Any
    """The value where none is given; ``dataclasses.MISSING`` where the source says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """Options that belong together: a frozen dataclass of which each field is annotated with an ``Option``.

    Raises:
        UsageError: A value is out of its range.
    """

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, hint, _, _ in self.declared():
            allowed, value = find_range(hint), getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            if allowed is not None and any(number is not None and number not in allowed for number in numbers):
                raise UsageError(f"{option_name(name)} {spell_value(value)}: must be from {allowed}")

    @classmethod
    def declared(cls) -> Iterator[DeclaredOption]:
        """Yield the options in the order of the fields."""
        hints = get_type_hints(cls, include_extras=True)
        for field in dataclasses.fields(cls):
            *_, option = hints[field.name].__metadata__
            yield DeclaredOption(field.name, hints[field.name], option, field.default)

    def output_bearing(self) -> dict[str, Any]:
        """The options that bear on the output, as JSON values."""
        values = {name: getattr(self, name) for name, _, option, _ in self.declared() if option.bears_on_output}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Limit:
    """How many samples may be lost before a run counts as a bad one: a number or a share of all."""

    value: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"250"`` or ``"1%"``; raises ``UsageError`` for anything else."""
        match = re.fullmatch(r"(\d{1,15})|(\d{1,3}(?:\.\d{1,9})?)%", text.strip())
        if match is None:
            raise UsageError(f"--max-rejects {text}: give a number of samples such as 250, or a share such as 1%")
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
class CommonOptions(OptionGroup):
    """The options of every conversion."""

    samples_per_shard: Annotated[
        SamplesPerShard,
        Option(
            metavar="N",
            help="Samples that a shard is planned to hold at most; it may hold up to one group's (or unit's) samples "
            "more.",
        ),
    ]
    shuffle: Annotated[
        Shuffle,
        Option(
            help="How the units of a cell are ordered. "
            "groups: a shard holds whole groups (of up to 100,000 samples) drawn from all over, its units "
            "(frames, or single samples) shuffled, as identity batches need it. units: blocks of units drawn from all "
            "over: better mixed, but no identity batches. none: as in the archives. auto: groups for cells with a "
            "train split, none for the others."
        ),
    ] = "auto"
    seed: Annotated[Seed, Option(metavar="N", help="Seed of the shuffle.")] = 0
    max_rejects: Annotated[
        Limit,
        Option(
            metavar="N|N%",
            parse=Limit.parse,
            help="Samples, or a share of those that the source names, that may be lost before the exit code is 3. 100% "
            "accepts an incomplete source, too.",
            bears_on_output=False,
        ),
    ] = Limit(0.01, is_share=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOptions(OptionGroup):
    """The options of sources whose samples are cut out of frames."""

    crop: Annotated[
        CropMode,
        Option(
            help="How frames are cut. lossless: in the JPEG bitstream. reencode: decoded, cut and compressed again.",
            bears_on_plan=False,
        ),
    ] = "lossless"
    margin: Annotated[Margin, Option(metavar="PIXELS", help="Pixels to keep around each box.", bears_on_plan=False)] = 0
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

    def __post_init__(self) -> None:
        """Check the ranges, and the number of pixels."""
        OptionGroup.__post_init__(self)  # a dataclass with slots is another class than the one that super() would know
        if self.size is not None and self.size[0] * self.size[1] > MAX_PIXELS:
            raise UsageError(f"--size {self.size[0]}x{self.size[1]}: an image has at most {MAX_PIXELS:,} pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a conversion, by group."""

    common: CommonOptions
    cut: CutOptions | None
    """None where the source takes its images over as they are."""
    own: OptionGroup
    """The source's own options."""

    @property
    def groups(self) -> Iterator[OptionGroup]:
        """Yield the groups in the order in which the manifest has their options."""
        yield from (group for group in (self.common, self.cut, self.own) if group is not None)

    def output_bearing(self) -> dict[str, Any]:
        """The options that bear on the output, as JSON values: for the manifest and the plan's digest."""
        return {name: value for group in self.groups for name, value in group.output_bearing().items()}

    def places(self) -> list[str]:
        """Return the folders and URLs, beside SRC, that the options name."""
        values = (
            getattr(group, name) for group in self.groups for name, _, option, _ in group.declared() if option.is_place
        )
        return [value for value in values if value is not None]


def option_name(field: str) -> str:
    """The name that an option has on the command line: ``samples_per_shard`` as ``--samples-per-shard``."""
    return f"--{field.replace('_', '-')}"


def spell_value(value: Any) -> str:
    """An option's value as it is given on the command line: ``[256, 128]`` as ``256x128``."""
    if value is None:
        return "not given"
    if isinstance(value, list | tuple):
        is_repeated = not value or isinstance(value[0], str)  # several values of one option
        return ", ".join(value) or "not given" if is_repeated else "x".join(map(str, value))
    return str(value)
