"""What labels leave open, and how it is decided from counts, which the manifest keeps as evidence."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from shards_spec.jsons import Count

_SHOWN = 20
"""Names of cameras that a sentence lists."""


class IdsEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from where person ids occur. Only ids of labelled persons count."""

    question: ClassVar[str] = "Does a person id name the same person in training splits and elsewhere?"
    meanings: ClassVar[Mapping[str, str]] = {
        "by_split": "No: ids are counted anew, so that an identity is train or test, and an id.",
        "shared": "Yes: an id names one person in the whole set.",
    }

    in_train: Count
    """Different ids in training splits."""
    elsewhere: Count
    """Different ids in all other splits."""
    in_both: Count
    """Ids that occur in training splits and elsewhere."""

    def choice(self) -> Literal["by_split", "shared"]:
        """Return ``by_split`` if there are ids in training splits and elsewhere, ``shared`` if only one has any."""
        return "by_split" if self.in_train and self.elsewhere else "shared"

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        return (
            f"There are {self.in_train:,} different ids in training splits and {self.elsewhere:,} elsewhere; "
            f"{self.in_both:,} of them occur in both."
        )


class CamerasEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from how cameras are named."""

    question: ClassVar[str] = "How are cameras named?"
    meanings: ClassVar[Mapping[str, str]] = {
        "names": "By names: the number of a camera is the place of its name among the sorted names, from 0.",
        "numbers": "By numbers, which are taken over.",
        "none": "Not at all: no camera is known.",
    }

    cameras: Count
    """Different cameras."""
    names: list[str]
    """Their names, sorted, if they are not numbers: a camera's number in the set is its place here, from 0."""

    def choice(self) -> Literal["names", "numbers", "none"]:
        """Return ``numbers`` if all cameras are numbers, ``names`` if they are numbered in the order of ``names``."""
        if self.names:
            return "names"
        return "numbers" if self.cameras else "none"

    def sentence(self) -> str:
        """Return the counts as sentences for people."""
        if self.names:
            listed = ", ".join(f"{name!r}" for name in self.names[:_SHOWN])
            more = f" and {len(self.names) - _SHOWN:,} more" if len(self.names) > _SHOWN else ""
            return f"There are {self.cameras:,} cameras: {listed}{more}."
        return f"There are {self.cameras:,} cameras."
