"""What labels leave open, and how it is decided from counts, which the manifest keeps as evidence."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from shards_spec.jsons import Count

_SHOWN = 20
"""Names of cameras that a sentence lists."""


class PersonFieldEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from which fields of the labels name persons."""

    question: ClassVar[str] = "Which field of the labels names the person?"
    meanings: ClassVar[Mapping[str, str]] = {
        "person_id": "The field person_id does.",
        "none": "No field does: nobody is identified.",
    }

    boxes: Count
    """Labelled boxes."""
    person_id: Count
    """How many of them have a field ``person_id`` that is not null."""
    others: Count
    """How many of them have another field that often names persons, such as ``track_id``."""

    def choice(self) -> Literal["person_id", "none"] | None:
        """Return ``person_id`` if there is such a field, ``none`` if there is none like it."""
        if self.person_id:
            return "person_id"
        return None if self.others else "none"

    def sentence(self) -> str:
        """Return the counts as sentences."""
        return (
            f"Of {self.boxes:,} boxes, {self.person_id:,} have a person_id, and {self.others:,} another field that "
            "often names persons."
        )


class CategoryEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from the categories of the labels."""

    question: ClassVar[str] = "Which category of the labels means a person?"
    meanings: ClassVar[Mapping[str, str]] = {"all": "The labels have no categories: each box is one of a person."}

    categories: dict[str, Count]
    """Labelled boxes of each category, sorted by name."""

    def choice(self) -> str | None:
        """Return the category that is called "person" in any case of letters, else the only one; "all" without any."""
        named = [name for name in self.categories if name.lower() == "person"]
        if len(named) == 1:
            return named[0]
        if len(self.categories) > 1:
            return None
        return next(iter(self.categories), "all")

    def sentence(self) -> str:
        """Return the counts as a sentence."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.categories.items())
        return f"Labelled boxes of each category: {counts}." if counts else "The labels have no categories."


class BoxFormatEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from the numbers of the boxes."""

    question: ClassVar[str] = "What are the four numbers of a labelled box?"
    meanings: ClassVar[Mapping[str, str]] = {
        "xywh": "Left, top, width and height in pixels.",
        "xyxy": "Left, top, right and bottom in pixels.",
        "normalised": "Left, top, width and height as shares of the frame.",
    }

    documented: bool
    """Whether the format of the labels says that they are left, top, width and height."""
    boxes: Count
    """Labelled boxes whose numbers are finite."""
    not_corners: Count
    """How many of them cannot be left, top, right and bottom, because the third number is not above the first, or the
    fourth not above the second."""
    with_frame_size: Count
    """How many of them are labelled with the size of their frame."""
    leaving: Count
    """How many of those would leave the frame by more than a pixel as left, top, width and height."""

    def choice(self) -> Literal["xywh", "xyxy"] | None:
        """Return ``xywh`` where no other is possible or likely, and ``xyxy`` likewise.

        It is ``xywh`` if the format says so, or if a hundredth of the boxes cannot be corners. It is ``xyxy`` if all
        boxes can, and half of those with the size of their frame would leave it otherwise.
        """
        if self.documented or (self.boxes and 100 * self.not_corners >= self.boxes):
            return "xywh"
        is_corners = self.with_frame_size and 2 * self.leaving >= self.with_frame_size and not self.not_corners
        return "xyxy" if is_corners else None

    def sentence(self) -> str:
        """Return the counts as sentences."""
        if self.documented:
            return "The format of the labels says so."
        text = f"Of {self.boxes:,} boxes, {self.not_corners:,} cannot be left, top, right and bottom."
        if self.with_frame_size:
            text += (
                f" Of {self.with_frame_size:,} with the size of their frame, {self.leaving:,} would leave it as xywh."
            )
        return text


class SplitsFromEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from where the labels name splits."""

    question: ClassVar[str] = "What says in which split a sample is?"
    meanings: ClassVar[Mapping[str, str]] = {
        "labels": "Each sample's own label does.",
        "files": "The label file that names the sample does.",
        "none": "Nothing does: all samples are in one split.",
    }

    samples: Count
    """Labelled samples."""
    with_split: Count
    """How many of them have a split of their own."""
    files: Count
    """Label files."""
    files_with_split: Count
    """How many of them are named after a split, or were given one."""

    def choice(self) -> Literal["labels", "files", "none"]:
        """Return ``labels`` if any sample has a split of its own, else ``files`` if any file is named after one."""
        if self.with_split:
            return "labels"
        return "files" if self.files_with_split else "none"

    def sentence(self) -> str:
        """Return the counts as sentences."""
        return (
            f"Of {self.samples:,} samples, {self.with_split:,} have a split of their own, and "
            f"{self.files_with_split:,} of {self.files:,} label files are named after one."
        )


class LayoutEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from the folders and lists of a folder of crops."""

    question: ClassVar[str] = "How is the folder of crops laid out?"
    meanings: ClassVar[Mapping[str, str]] = {
        "market1501": "As Market-1501: names of files say who is seen.",
        "msmt17": "As MSMT17: lists say who is seen.",
        "pattern": "As the option --pattern says.",
        "table": "A table says who is seen.",
    }

    tables: Count
    """Tables of crops."""
    market1501: Count
    """Folders that are named as those of Market-1501 are."""
    msmt17: Count
    """Lists that are named as those of MSMT17 are."""
    patterns: Count
    """1 if a pattern was given, else 0."""

    def choice(self) -> Literal["market1501", "msmt17", "pattern", "table"] | None:
        """Return the only layout of which there is a sign; None if there are several or none."""
        if self.tables:
            return "table"
        if bool(self.market1501) != bool(self.msmt17):
            return "market1501" if self.market1501 else "msmt17"
        return "pattern" if self.patterns and not self.market1501 else None

    def sentence(self) -> str:
        """Return the counts as a sentence."""
        return (
            f"There are {self.tables:,} tables, {self.market1501:,} folders as Market-1501 has them, {self.msmt17:,} "
            f"lists as MSMT17 has them, and {'a' if self.patterns else 'no'} pattern."
        )


class PathsEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided from how many paths of the labels name an image of the source."""

    question: ClassVar[str] = "Are the labels' paths those of the source?"
    meanings: ClassVar[Mapping[str, str]] = {
        "as_labelled": "Yes: each names the image of exactly this path, or the only one whose path ends so.",
        "shortened": "Only without the folders that they begin with where they were written.",
    }

    paths: Count
    """Different paths of images in the labels."""
    exact: Count
    """How many of them are the path of an image."""
    ends: Count
    """How many others are the end of the path of one image, and of no other."""
    left_out: str
    """The folders that all paths begin with and that are left out before ``exact`` and ``ends`` are counted, because
    with them, no path names an image; empty if there are none."""

    def choice(self) -> Literal["as_labelled", "shortened"]:
        """Return ``shortened`` if folders are left out."""
        return "shortened" if self.left_out else "as_labelled"

    def sentence(self) -> str:
        """Return the counts as sentences."""
        without = "Of"
        if self.left_out:
            without = f"With {self.left_out!r} before them, no path names an image. Without, of"
        return (
            f"{without} {self.paths:,} different paths, {self.exact:,} are the path of an image, and {self.ends:,} "
            "others the end of only one."
        )


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
