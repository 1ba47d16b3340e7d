"""The options that City1M-Full and City1M-Lite have: both come with the same label files."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.options import Option, OptionGroup
from shards_spec.variants.city1m.options import BoxOrder, IdentityScope


@dataclass(frozen=True, slots=True, kw_only=True)
class City1MOptions(OptionGroup):
    """What only a conversion of City1M can be told."""

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
    identity_scope: Annotated[
        IdentityScope,
        Option(
            help="Whether a person id counts inside its group (group) or names a person by itself (global). auto: what "
            "the labels show."
        ),
    ] = "auto"
