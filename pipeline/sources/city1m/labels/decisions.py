"""What the dataset's README leaves open, decided from the labels: the order of the box numbers and the scope of ids.

The README says that a box is (x, y, h, w), and its own example contradicts that; it does not say whether a person id
counts inside its group or over the whole dataset. Each choice is made from counts, which go into the manifest.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards_spec.errors import UsageError
from shards_spec.manifest import GIVEN, Decision
from shards_spec.variants.city1m.evidence import DOCUMENTED_FRAME_SIZE, BoxOrderEvidence, IdentityScopeEvidence
from shards_spec.variants.city1m.options import BoxOrder, IdentityScope

_TOLERANCE = 1.0
"""Pixels by which a box may leave the frame, because labels are projected from models and not clipped."""
_AT_A_TIME = 1 << 20
"""Boxes that are judged at once."""

BOX_COLUMNS = {"xywh": [0, 1, 2, 3], "xyhw": [0, 1, 3, 2]}
"""Positions of x, y, width and height among the box numbers of a label, by box order."""

_Bools = npt.NDArray[np.bool_]
_Int32 = npt.NDArray[np.int32]
_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MemberIds:
    """The members from which the identity scope is decided, with one row for each member."""

    person_ids: _Int32
    group_codes: _Int32
    """Number of the member's group."""
    member_counts: _Int32
    """The member count in the name of the member's frame."""


def decide_box_order(asked: BoxOrder, boxes: _Doubles, chosen: _Bools, probed_size: tuple[int, int] | None) -> Decision:
    """Decide which of a box's last two numbers is its width.

    For each order, this counts the boxes that leave the frame by more than a pixel or are wider than tall, because the
    labels show people, nearly all of whom stand. ``BoxOrderEvidence`` says which counts decide.

    Args:
        asked: The order that the options ask for.
        boxes: Boxes in pixels, ``[members, 4 or more]``, whose first four numbers are the box in the file's order.
        chosen: Which of them count, ``[members]``; those must be finite.
        probed_size: Width and height of the frames if they are known; None stands for those in the README.

    Raises:
        UsageError: The counts do not decide.
    """
    if asked != "auto":
        return Decision(asked, dict(GIVEN))
    size = probed_size or DOCUMENTED_FRAME_SIZE
    total = xywh = xyhw = 0
    for start in range(0, len(boxes), _AT_A_TIME):
        block = slice(start, start + _AT_A_TIME)
        x, y, third, fourth = boxes[block, :4][chosen[block]].T
        total += len(x)
        xywh += _count_odd_boxes(x, y, third, fourth, size)
        xyhw += _count_odd_boxes(x, y, fourth, third, size)
    evidence = BoxOrderEvidence(total, size, probed_size is not None, xywh, xyhw)
    choice = evidence.choice()
    if choice is not None:
        return Decision(choice, msgspec.json.decode(msgspec.json.encode(evidence)))
    raise UsageError(
        f"the order of the box numbers is not clear: of {total} boxes, {xywh} leave the frame of {size[0]}x{size[1]} "
        f"pixels or are wider than tall as x, y, w, h, and {xyhw} as x, y, h, w: look at some, then say --box-order "
        "xywh or --box-order xyhw"
    )


def _count_odd_boxes(x: _Doubles, y: _Doubles, width: _Doubles, height: _Doubles, size: tuple[int, int]) -> int:
    is_odd = (x < -_TOLERANCE) | (y < -_TOLERANCE) | (width > height)
    is_odd |= (x + width > size[0] + _TOLERANCE) | (y + height > size[1] + _TOLERANCE)
    return int(np.count_nonzero(is_odd))


def decide_identity_scope(asked: IdentityScope, members: MemberIds) -> Decision:
    """Decide whether a person id names a person within its group or in the whole dataset.

    Raises:
        UsageError: Neither is the case.
    """
    if asked != "auto":
        return Decision(asked, dict(GIVEN))
    total = len(members.person_ids)
    above = int(np.count_nonzero(members.person_ids >= members.member_counts))
    pairs = pa.array(members.group_codes.astype(np.int64) << 32 | members.person_ids).unique().to_numpy()
    _, groups_an_id = np.unique(pairs & 0xFFFFFFFF, return_counts=True)
    shared = int(np.count_nonzero(groups_an_id > 1))
    evidence = IdentityScopeEvidence(total, above, len(groups_an_id), shared)
    choice = evidence.choice()
    if choice is not None:
        return Decision(choice, msgspec.json.decode(msgspec.json.encode(evidence)))
    raise UsageError(
        f"the scope of the person ids is not clear: of {total} members, {above} have an id that is not below the "
        f"member count in their frame's name, and {shared} of {len(groups_an_id)} ids occur in several groups: look at "
        "some, then say --identity-scope group or --identity-scope global"
    )


def check_group_counts(group_codes: _Int32, member_counts: _Int32, stems: Any) -> None:
    """Check that all frames of a group name the same member count. If not, the id stands for two groups.

    Args:
        group_codes: The number of each frame's group, from 0, ``[frames]``.
        member_counts: The member count in each frame's name, ``[frames]``.
        stems: The frames' names as a string array, ``[frames]``.

    Raises:
        UsageError: A group has two counts.
    """
    if not len(group_codes):
        return
    _, first = np.unique(group_codes, return_index=True)
    expected = member_counts[first][group_codes]
    differing = np.flatnonzero(member_counts != expected)
    if differing.size:
        row = int(differing[0])
        other = int(first[group_codes[row]])
        name, other_name = stems[row].as_py(), stems[other].as_py()
        group = name.partition("_")[0]
        raise UsageError(
            f"group {group} has two member counts, {expected[row]} in {other_name} and {member_counts[row]} in {name}: "
            "a group id must stand for one group; take the frames of one of them out of the labels"
        )
