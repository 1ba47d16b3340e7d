"""The options of sources that are label files, tables or folders of crops."""

import re
from dataclasses import dataclass, fields
from typing import Annotated

from pipeline.options import Option, OptionGroup, option_name
from shards_spec.errors import UsageError
from shards_spec.variants.tables.options import BoxFormat, Ids, Layout

_SPLIT = re.compile(r"(?P<new>[a-z][a-z0-9]*)=(?P<old>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions(OptionGroup):
    """What only conversions of label files, tables and folders of crops can be told.

    All kinds of these share one group, because the sets that they make have the same options in their manifests.
    """

    split: Annotated[
        tuple[str, ...],
        Option(
            metavar="NEW=OLD",
            help="Puts samples into the split NEW. OLD is a label file (train=a.json) or a split as the labels name it "
            "(gallery=test). May be given several times, also for one NEW. By default, a split is what the column "
            "split or the name of the label file says; without either, there is the one split all.",
            shown_default="as labelled",
        ),
    ] = ()
    ids: Annotated[
        Ids,
        Option(
            help="Where a person id counts. by_split: 7 in train and 7 elsewhere are two persons, as in most re-ID "
            "datasets. shared: they are one. auto: by_split if there are ids both in train and elsewhere."
        ),
    ] = "auto"
    unlabelled: Annotated[
        str | None,
        Option(
            metavar="ID,...",
            help="Ids that stand for a person whom nobody identified, such as -1,-2 or 5555. 0 is a person.",
            shown_default="negative numbers",
        ),
    ] = None
    pattern: Annotated[
        str | None,
        Option(
            metavar="REGEX",
            help="What the paths of images say. A regular expression (Python's) that is searched in each path below "
            r"SRC, with groups named person_id, camera, split or group_id, such as "
            r"'(?P<person_id>\d+)_c(?P<camera>\d+)'. What the labels say takes precedence.",
        ),
    ] = None
    person_field: Annotated[
        str,
        Option(
            metavar="FIELD",
            help="The field of a COCO annotation that names the person, such as instance_id, track_id or "
            "attributes.name; none if no field does. auto: person_id, if there is such a field.",
        ),
    ] = "auto"
    category: Annotated[
        str,
        Option(
            metavar="NAME",
            help="The category of a COCO annotation that means a person. auto: person if there is one, else the only "
            "one.",
        ),
    ] = "auto"
    box_format: Annotated[
        BoxFormat,
        Option(
            help="What the columns x, y, w and h of a table are. xywh: left, top, width and height in pixels. xyxy: "
            "left, top, right and bottom. normalised: xywh as shares of the frame, whose size the columns frame_width "
            "and frame_height have. auto: xywh or xyxy, whichever the boxes fit."
        ),
    ] = "auto"
    queries: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="A table in SRC that names the boxes that are queries, with the columns file and either box_id or x, "
            "y, w and h. These boxes are in the split query as well as in their own.",
        ),
    ] = None
    labelled_root: Annotated[
        str,
        Option(
            metavar="FOLDER",
            help="The folder that labelled paths begin with and SRC lacks. It is where the images lay when they were "
            "labelled, such as /home/me/images, and is left out. none: there is no such folder. auto: if not a single "
            "path names an image, as many of the folders that all begin with are left out as it takes to find one.",
        ),
    ] = "auto"
    layout: Annotated[
        Layout,
        Option(
            help="How a folder of crops is laid out. market1501: folders bounding_box_train, bounding_box_test and "
            "query, with names such as 0002_c1s1_000451_03.jpg. msmt17: list_train.txt and further lists. pattern: as "
            "--pattern says. auto: what the folders and lists at the top show."
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        """Check what each value must be by itself."""
        OptionGroup.__post_init__(self)
        for value in self.split:
            if _SPLIT.fullmatch(value) is None:
                raise UsageError(
                    f"--split {value}: give NEW=OLD, such as train=a.json or gallery=test; the name NEW begins with a "
                    "letter and has lower-case letters and digits only"
                )
        if self.pattern is not None:
            check_pattern(self.pattern)
        if self.unlabelled is not None and not all(self.unlabelled.split(",")):
            raise UsageError(f"--unlabelled {self.unlabelled}: give ids with commas between them, such as -1,-2")

    def root(self) -> str | None:
        """Return the folders that paths in the labels begin with and the source lacks, as paths are compared.

        They end with ``/``, or are empty; None if they are to be found out.
        """
        if self.labelled_root in {"auto", "none"}:
            return None if self.labelled_root == "auto" else ""
        return f"{self.labelled_root.rstrip('/')}/"

    def splits(self) -> list[tuple[str, str]]:
        """Return the (new, old) names of splits."""
        pairs = (_SPLIT.fullmatch(value) for value in self.split)
        return [(pair["new"], pair["old"]) for pair in pairs if pair is not None]

    def refuse_others(self, taken: tuple[str, ...], what: str) -> None:
        """Refuse options of other kinds of sources that share this group.

        Args:
            taken: The names of the options that the source takes.
            what: What the source is, for the message.

        Raises:
            UsageError: Another option was given.
        """
        for field in fields(self):
            if field.name not in taken and getattr(self, field.name) != field.default:
                raise UsageError(f"{option_name(field.name)}: this source is a {what}, which has no such option")


GROUPS = ("person_id", "camera", "split", "group_id")
"""What a pattern may read from paths."""


def check_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern, compiled.

    Raises:
        UsageError: It is no regular expression, or has none of the groups that mean something here.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"--pattern {pattern}: is no regular expression: {error}") from error
    unknown = sorted(set(compiled.groupindex) - set(GROUPS))
    if unknown or not compiled.groupindex:
        what = f"the group {unknown[0]} means nothing" if unknown else "it has no named group"
        raise UsageError(f"--pattern {pattern}: {what}: the groups are {', '.join(GROUPS)}, as in (?P<camera>\\d+)")
    return compiled
