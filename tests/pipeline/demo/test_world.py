import numpy as np
import pytest

from pipeline.demo.world import CAMERAS, Camera, plan_frames, plan_groups


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: str(camera.number))
def test_size_and_depth_go_together(camera: Camera) -> None:
    depth = np.array([2.0, 4.0, 8.0])
    x, z = camera.offset + depth * np.sin(camera.yaw), depth * np.cos(camera.yaw)
    column, feet, found = camera.project(x, 0.0, z)
    _, head, _ = camera.project(x, 1.7, z)
    np.testing.assert_allclose(column, 960)
    np.testing.assert_allclose(found, depth)
    np.testing.assert_allclose((feet - head) * depth, 1.7 * camera.focal)


@pytest.mark.parametrize("frames", [20, 99, 400, 1003])
def test_groups_share_the_frames_by_size(frames: int) -> None:
    groups = list(plan_groups(frames))
    assert sum(group.frames for group in groups) == frames
    assert [group.number for group in groups] == list(range(1, len(groups) + 1))
    assert [group.size for group in groups] == sorted(group.size for group in groups)
    assert {group.size for group in groups} == {2, 3, 4, 5, 6}


def test_a_group_walks_past_several_cameras_by_day_and_night() -> None:
    frames = [frame for group in plan_groups(1000) for frame in plan_frames(0, group)]
    names = [frame.name for frame in frames]
    assert names == sorted(set(names))
    assert {(frame.camera.number, frame.time) for frame in frames} == {
        (camera.number, time) for camera in CAMERAS for time in ("day", "night")
    }
    cameras = {frame.group.number: set[int]() for frame in frames}
    for frame in frames:
        cameras[frame.group.number].add(frame.camera.number)
        assert [pose.person_id for pose in frame.poses] == list(range(frame.group.size))
    assert np.mean([len(seen) for seen in cameras.values()]) > 2


def test_walkers_move_in_small_steps_and_move_their_legs() -> None:
    group = next(plan_groups(200))
    frames = plan_frames(0, group)
    visit = [frame for frame in frames if (frame.camera, frame.time) == (frames[0].camera, frames[0].time)]
    places = np.array([[(pose.x, pose.z) for pose in frame.poses] for frame in visit])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    assert steps.max() < 1.0
    phases = {frame.poses[0].phase for frame in visit}
    assert len(phases) == len(visit)


def test_every_camera_has_room_for_the_largest_group() -> None:
    for seed in range(3):
        for group in plan_groups(2000):
            assert len(plan_frames(seed, group)) == group.frames
