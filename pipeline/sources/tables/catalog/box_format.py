"""What the four numbers of a labelled box are, and the boxes in pixels that follow from it."""

import numpy as np
import numpy.typing as npt

from pipeline.sources.tables.labels.table import BOX, Labels
from pipeline.sources.tables.options import TableOptions
from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision
from shards_spec.variants.tables.evidence import BoxFormatEvidence

_Doubles = npt.NDArray[np.float64]


def decide_box_format(labels: Labels, options: TableOptions, where: str, *, is_documented: bool) -> Decision:
    """Decide what the four numbers of a box are.

    Args:
        labels: The labels.
        options: The options, of which ``box_format`` counts.
        where: The source's URL, for messages.
        is_documented: Whether the format of the labels says that they are left, top, width and height.

    Raises:
        UsageError: It is not clear.
    """
    if options.box_format != "auto":
        return Decision(options.box_format, dict(GIVEN))
    x, y, w, h = (labels.column(name) for name in BOX)
    width, height = (labels.column(name) for name in ("frame_width", "frame_height"))
    is_finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
    is_sized = is_finite & (width > 0) & (height > 0)
    leaves = (x < -1) | (y < -1) | (x + w > width + 1) | (y + h > height + 1)
    counts = {
        "documented": is_documented,
        "boxes": int(np.count_nonzero(is_finite)),
        "not_corners": int(np.count_nonzero(is_finite & ((w <= x) | (h <= y)))),
        "with_frame_size": int(np.count_nonzero(is_sized)),
        "leaving": int(np.count_nonzero(is_sized & leaves)),
    }
    largest = max((float(np.abs(numbers[is_finite]).max(initial=0)) for numbers in (x, y, w, h)), default=0.0)
    choice = BoxFormatEvidence(**counts).choice()  # type: ignore[arg-type]  # a bool and four ints
    if choice is not None and (is_documented or largest > 1):
        return Decision(choice, counts)
    what = (
        f"none of the {counts['boxes']:,} boxes has a number above 1"
        if largest <= 1
        else f"of {counts['boxes']:,} boxes, only {counts['not_corners']:,} have a w that is not above x, or an h that "
        "is not above y, so that w and h may be the right and the bottom"
    )
    raise UsageError(
        f"{where}: what the columns x, y, w and h are is not clear: {what}: look at some, then say --box-format xywh, "
        "xyxy or normalised"
    )


def boxes_in_pixels(labels: Labels, box_format: str, where: str) -> list[_Doubles]:
    """Return left, top, width and height of each box in pixels, ``[rows]`` each.

    Raises:
        UsageError: The boxes are shares of frames whose sizes are not labelled.
    """
    x, y, w, h = (labels.column(name) for name in BOX)
    if box_format == "xyxy":
        return [x, y, w - x, h - y]
    if box_format == "normalised":
        width, height = (labels.column(name).astype(float) for name in ("frame_width", "frame_height"))
        unsized = int(np.count_nonzero((width <= 0) | (height <= 0)))
        if unsized:
            raise UsageError(
                f"{where}: --box-format normalised: {unsized:,} of {len(width):,} rows lack the size of the frame: add "
                "the columns frame_width and frame_height"
            )
        return [x * width, y * height, w * width, h * height]
    return [x, y, w, h]
