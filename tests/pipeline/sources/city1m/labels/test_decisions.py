import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from pipeline.sources.city1m.labels.decisions import (
    MemberIds,
    check_group_counts,
    decide_box_order,
    decide_identity_scope,
)
from shards_spec.errors import UsageError
from shards_spec.manifest import Decision

STANDING = [500.0, 300.0, 100.0, 300.0, 2.0]
LYING = [500.0, 300.0, 300.0, 100.0, 2.0]
SQUARE = [500.0, 300.0, 100.0, 100.0, 2.0]


def decide(boxes: list[list[float]], size: tuple[int, int] | None = (1920, 1080)) -> Decision:
    return decide_box_order("auto", np.array(boxes), np.ones(len(boxes), bool), size)


def ids(*members: tuple[int, int, int]) -> MemberIds:
    columns: npt.NDArray[np.int32] = np.array(members, np.int32).reshape(-1, 3)
    return MemberIds(columns[:, 0], columns[:, 1], columns[:, 2])


def test_standing_people_are_width_then_height() -> None:
    decision = decide([STANDING] * 9 + [LYING])
    assert decision.choice == "xywh"
    assert decision.evidence == {
        "boxes": 10,
        "frame_size": [1920, 1080],
        "frame_size_probed": True,
        "odd_as_xywh": 1,
        "odd_as_xyhw": 9,
    }


def test_the_documented_order_wins_where_the_boxes_say_so() -> None:
    assert decide([LYING] * 9 + [STANDING]).choice == "xyhw"


def test_the_readmes_example_is_width_then_height() -> None:
    example = [[1477.3156, 230.6843, 186.0616, 346.3864, 1.5166], [1752.9762, 215.4119, 153.7662, 221.532, 2.6906]]
    assert decide(example, None).choice == "xywh"
    assert decide(example, None).evidence["odd_as_xyhw"] == 2
    assert decide(example, None).evidence["frame_size"] == [1920, 1080]
    assert decide(example, None).evidence["frame_size_probed"] is False


@pytest.mark.parametrize(("lying", "is_clear"), [(20, True), (21, False)])
def test_an_order_wins_with_a_fifth_of_the_others_count(lying: int, is_clear: bool) -> None:
    boxes = [STANDING] * 100 + [LYING] * lying
    if is_clear:
        assert decide(boxes).choice == "xywh"
        return
    with pytest.raises(UsageError, match=r"of 121 boxes, 21 .* as x, y, w, h, and 100 as x, y, h, w.*--box-order xywh"):
        decide(boxes)


@pytest.mark.parametrize(("standing", "is_clear"), [(1, True), (0, False)])
def test_an_order_wins_only_on_a_hundredth_of_the_boxes(standing: int, is_clear: bool) -> None:
    boxes = [STANDING] * standing + [SQUARE] * (100 - standing)
    if is_clear:
        assert decide(boxes).choice == "xywh"
        return
    with pytest.raises(UsageError, match="--box-order xyhw"):
        decide(boxes)


@pytest.mark.parametrize(
    ("box", "odd"),
    [
        ([-1.0, -1.0, 10.0, 10.0], 0),
        ([-1.01, 0.0, 10.0, 10.0], 1),
        ([0.0, -1.01, 10.0, 10.0], 1),
        ([311.0, 171.0, 10.0, 10.0], 0),
        ([311.1, 0.0, 10.0, 10.0], 1),
        ([0.0, 171.1, 10.0, 10.0], 1),
    ],
)
def test_a_box_may_leave_the_frame_by_a_pixel(box: list[float], odd: int) -> None:
    evidence = decide([[*box, 1.0]] + [[5.0, 5.0, 10.0, 20.0, 1.0]] * 10, (320, 180)).evidence
    assert (evidence["odd_as_xywh"], evidence["odd_as_xyhw"]) == (odd, 10 + odd)


def test_boxes_that_are_not_chosen_do_not_count() -> None:
    boxes = np.array([STANDING, [np.nan] * 5, LYING])
    assert decide_box_order("auto", boxes, np.array([True, False, False]), None).evidence["boxes"] == 1


def test_given_choices_are_taken_and_said_to_be_given() -> None:
    none = np.zeros((0, 5))
    assert decide_box_order("xyhw", none, np.zeros(0, bool), None) == Decision("xyhw", {"given": True})
    assert decide_identity_scope("global", ids()) == Decision("global", {"given": True})


def test_without_boxes_or_members_nothing_is_clear() -> None:
    with pytest.raises(UsageError, match="of 0 boxes"):
        decide_box_order("auto", np.zeros((0, 5)), np.zeros(0, bool), None)
    with pytest.raises(UsageError, match="of 0 members"):
        decide_identity_scope("auto", ids())


def test_ids_below_the_member_count_are_the_groups() -> None:
    decision = decide_identity_scope("auto", ids((0, 0, 2), (1, 0, 2), (0, 1, 3), (2, 1, 3)))
    assert decision.choice == "group"
    assert decision.evidence == {
        "members": 4,
        "ids_not_below_member_count": 0,
        "distinct_ids": 3,
        "ids_in_several_groups": 1,
    }


def test_ids_that_no_two_groups_share_are_global() -> None:
    decision = decide_identity_scope("auto", ids((1, 0, 2), (2, 0, 2), (1, 0, 2), (44_999, 1, 2), (2**31 - 1, 1, 2)))
    assert decision.choice == "global"
    assert decision.evidence["ids_not_below_member_count"] == 3
    assert decision.evidence["ids_in_several_groups"] == 0


def test_shared_ids_above_the_member_count_are_not_clear() -> None:
    with pytest.raises(UsageError, match=r"of 3 members, 1 .* and 1 of 2 ids .*--identity-scope group"):
        decide_identity_scope("auto", ids((0, 0, 2), (0, 1, 2), (2, 1, 2)))


def test_a_group_with_two_member_counts_is_named_with_two_frames() -> None:
    stems = [f"{group}_pCount{count}_cam1_{index}_day" for index, (group, count) in enumerate([(7, 2), (8, 3), (7, 4)])]
    with pytest.raises(UsageError, match="group 7 has two member counts, 2 in 7_pCount2_cam1_0_day and 4 in 7_pCount4"):
        check_group_counts(np.array([0, 1, 0], np.int32), np.array([2, 3, 4], np.int32), pa.array(stems))
    check_group_counts(np.array([0, 1, 0], np.int32), np.array([2, 3, 2], np.int32), pa.array(stems))
    check_group_counts(np.zeros(0, np.int32), np.zeros(0, np.int32), pa.array([], pa.string()))
