"""The options that only conversions of tables and folders of crops have, as the manifest records them."""

from typing import Literal

import msgspec

Ids = Literal["auto", "by_split", "shared"]
BoxFormat = Literal["auto", "xywh", "xyxy", "normalised"]
Layout = Literal["auto", "market1501", "msmt17", "pattern"]


class TableOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of tables and folders of crops. Where one makes no sense for a kind of source, it has its default."""

    split: list[str]
    """``NEW=OLD``: which splits or label files make up a split of the set."""
    ids: Ids
    """Where a person id counts; ``auto`` leaves it to the decision of this name."""
    unlabelled: str | None
    """Ids, separated by commas, that stand for a person whom nobody identified; null for all negative numbers."""
    pattern: str | None
    """Regular expression that reads persons, cameras, splits and groups from paths."""
    person_field: str
    """The field that names the person; ``auto`` leaves it to the decision of this name."""
    category: str
    """The category that means a person; ``auto`` leaves it to the decision of this name."""
    box_format: BoxFormat
    """What the four numbers of a box are; ``auto`` leaves it to the decision of this name."""
    queries: str | None
    """Path of the table below the source that names the boxes that are queries."""
    labelled_root: str
    """The folder that paths in the labels begin with and the source lacks; ``none`` if there is none, ``auto`` leaves
    it to the decision ``paths``."""
    layout: Layout
    """How a folder of crops is laid out; ``auto`` leaves it to the decision of this name."""
