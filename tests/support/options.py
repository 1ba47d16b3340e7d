"""Options of conversions, as tests give them."""

from typing import Any

from pipeline.options import Options
from pipeline.sources.city1m import CITY1M


def city1m_options(**given: Any) -> Options:
    """The options of a conversion of City1M-Full; those that are not given have their defaults."""
    return CITY1M.make_options(given)
