"""The own options of City1M-PersonModels."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.options import Option, OptionGroup
from shards_spec.variants.person_models import IdNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonModelsOptions(OptionGroup):
    """What only a conversion of City1M-PersonModels can be told."""

    id_number: Annotated[
        IdNumber,
        Option(
            help="Which number in the name of a model's file is its id. auto: the last, unless the first numbers give "
            "more different ids from 1 to 46,000."
        ),
    ] = "auto"
    allow_missing_textures: Annotated[
        bool,
        Option(
            help="Take models although textures that they name are missing. By default, a model is whole or rejected."
        ),
    ] = False
