"""SYSU-30k's own options."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.options import Option, OptionGroup
from shards_spec.variants.sysu30k import SplitsFrom, TarParts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysu30kOptions(OptionGroup):
    """What only a conversion of SYSU-30k can be told."""

    tar_parts: Annotated[
        TarParts,
        Option(
            help="Whether the tars are archives of their own (archives) or pieces of one that was cut (pieces). auto: "
            "a file that does not begin like a tar goes on with the one before it."
        ),
    ] = "auto"
    splits_from: Annotated[
        SplitsFrom,
        Option(
            help="What decides which images are in a split: train.txt, query.txt and gallery.txt (lists), or the "
            "folders that they lie in (folders). auto: the lists, if there are any."
        ),
    ] = "auto"
