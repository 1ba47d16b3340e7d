"""The options that the forms of City1M with label files have."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.options import Option, OptionGroup
from shards_spec.errors import UsageError
from shards_spec.variants.city1m.options import BoxOrder, IdentityScope


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions(OptionGroup):
    """What reading the labels can be told."""

    labels: Annotated[
        str | None,
        Option(
            metavar="DIR",
            help="Folder or URL with train_part1.txt, query_part1.txt, gallery_part1.txt and the same with part2.",
            shown_default="SRC",
            bears_on_output=False,
            is_place=True,
        ),
    ] = None
    box_order: Annotated[
        BoxOrder,
        Option(
            help="What the four numbers of a label's box are. auto: the order under which the boxes fit their frames."
        ),
    ] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class City1MOptions(LabelOptions):
    """What only a conversion of City1M can be told."""

    identity_scope: Annotated[
        IdentityScope,
        Option(
            help="Whether a person id counts inside its group (group) or names a person by itself (global). auto: what "
            "the labels show."
        ),
    ] = "auto"


def parse_backgrounds(text: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of a place and a file from ``1-day=streets/a.jpg,1-night=streets/b.jpg``."""
    pairs = [item.strip().partition("=") for item in text.split(",")]
    if any(not place or not file for place, _, file in pairs):
        raise UsageError(
            f"--backgrounds {text}: give a camera, day or night, and a file for each, such as 1-day=streets/a.jpg"
        )
    return tuple((place, file) for place, _, file in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionOptions(LabelOptions):
    """What putting frames of City1M-Lite together can be told."""

    backgrounds: Annotated[
        tuple[tuple[str, str], ...] | None,
        Option(
            metavar="CAMERA-TIME=FILE,...",
            parse=parse_backgrounds,
            help="Background images whose names do not say whose they are, by their paths in SRC, such as "
            "1-day=streets/a.jpg,1-night=streets/b.jpg.",
            shown_default="told by the names of the files",
        ),
    ] = None
