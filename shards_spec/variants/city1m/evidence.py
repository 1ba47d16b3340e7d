"""What City1M's documentation leaves open, and how it is decided from counts, which the manifest keeps as evidence."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from shards_spec.jsons import Count
from shards_spec.variants.fields import Pair

DOCUMENTED_FRAME_SIZE = (1920, 1080)
"""Width and height of City1M's frames in pixels, by its README."""

_CLEARLY_FEWER = 5
_LEAST_SHARE = 100


class BoxOrderEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the order of the box numbers is decided from.

    A box is odd if it leaves the frame by more than a pixel or is wider than tall.
    """

    question: ClassVar[str] = "In which order do the four numbers of a labelled box stand?"
    meanings: ClassVar[Mapping[str, str]] = {
        "xywh": "Left, top, width, height.",
        "xyhw": "Left, top, height, width.",
    }

    boxes: Count
    """Members whose label could be read; in `city1m`, those in frames that were found."""
    frame_size: Pair
    """Width and height of the frames in pixels."""
    frame_size_probed: bool
    """Whether frames were read to know their size; else it is 1920 x 1080, which the dataset's README gives."""
    odd_as_xywh: Count
    """Boxes that are odd if their numbers are x, y, width, height."""
    odd_as_xyhw: Count
    """Boxes that are odd if their numbers are x, y, height, width."""

    def choice(self) -> Literal["xywh", "xyhw"] | None:
        """Return the order with at most a fifth of the other's odd boxes, if those are at least 1% of all boxes."""
        orders: tuple[tuple[Literal["xywh", "xyhw"], int, int], ...] = (
            ("xywh", self.odd_as_xywh, self.odd_as_xyhw),
            ("xyhw", self.odd_as_xyhw, self.odd_as_xywh),
        )
        for order, odd, odd_otherwise in orders:
            if odd * _CLEARLY_FEWER <= odd_otherwise and odd_otherwise * _LEAST_SHARE >= self.boxes > 0:
                return order
        return None

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        how = "as read from a frame" if self.frame_size_probed else "as documented"
        width, height = self.frame_size
        return (
            f"Of {self.boxes:,} boxes in frames of {width} x {height} pixels ({how}), {self.odd_as_xywh:,} leave the "
            f"frame or are wider than tall if the numbers are x, y, width, height, and {self.odd_as_xyhw:,} if they "
            "are x, y, height, width."
        )


class IdentityScopeEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the scope of the person ids is decided from."""

    question: ClassVar[str] = "Does a person id name the same person in every group?"
    meanings: ClassVar[Mapping[str, str]] = {
        "group": "No: ids count the members of a group, so that an identity is a group and an id.",
        "global": "Yes: an id names one person in the whole dataset.",
    }

    members: Count
    """The same members."""
    ids_not_below_member_count: Count
    """Members whose id is not below the member count in their frame's name."""
    distinct_ids: Count
    """Different ids among them."""
    ids_in_several_groups: Count
    """Ids that members of more than one group have."""

    def choice(self) -> Literal["group", "global"] | None:
        """Return ``group`` if every id is below its frame's member count, ``global`` if no id is in two groups."""
        if self.members and not self.ids_not_below_member_count:
            return "group"
        if self.members and not self.ids_in_several_groups:
            return "global"
        return None

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        return (
            f"Of {self.members:,} labelled members, {self.ids_not_below_member_count:,} have an id that is not below "
            f"the number of members in their frame's name. Of {self.distinct_ids:,} different ids, "
            f"{self.ids_in_several_groups:,} occur in several groups."
        )
