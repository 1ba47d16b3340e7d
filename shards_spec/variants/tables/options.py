"""The options that only conversions of tables and folders of crops have, as the manifest records them."""

from typing import Literal

import msgspec

Ids = Literal["auto", "by_split", "shared"]


class TableOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of tables and folders of crops."""

    ids: Ids
    """Where a person id counts; ``auto`` leaves it to the decision of this name."""
