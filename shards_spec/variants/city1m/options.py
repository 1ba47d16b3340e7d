"""The options that only conversions of City1M have, as the manifest records them."""

from typing import Literal

import msgspec

BoxOrder = Literal["auto", "xywh", "xyhw"]
IdentityScope = Literal["auto", "group", "global"]


class City1MOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of City1M alone."""

    box_order: BoxOrder
    """The order of a label's box numbers; ``auto`` leaves it to the decision of this name."""
    identity_scope: IdentityScope
    """Where a person id counts; ``auto`` leaves it to the decision of this name."""
