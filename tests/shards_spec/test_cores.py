"""How many cores this process may use."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shards_spec.cores import usable_cores

PRINT = "from shards_spec.cores import usable_cores; print(usable_cores())"


def cores_with(folder: Path, own: str, files: Mapping[str, str]) -> int:
    """Write files of control groups as Linux has them, and return the cores that may be used with them."""
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return usable_cores(folder / "cgroup", folder / "own")


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000\n", 8),
        ("400000 100000\n", 4),
        ("150000 100000\n", 2),
        ("1000 100000\n", 1),
        ("9900000 100000\n", 8),
    ],
)
def test_a_container_of_version_2_is_heard(tmp_path: Path, limit: str, cores: int) -> None:
    assert cores_with(tmp_path, "0::/\n", {"cpu.max": f"{limit}\n"}) == cores


def test_the_narrowest_group_above_this_process_counts(tmp_path: Path) -> None:
    limits = {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n", "c/cpu.max": "100000 100000\n"}
    assert cores_with(tmp_path, "0::/a/b\n", limits) == 2


def test_a_container_of_version_1_that_knows_its_path_on_the_host_is_heard(tmp_path: Path) -> None:
    own = "5:memory:/docker/1f\n3:cpu,cpuacct:/docker/1f\n1:cpuset:/\n0::/\n"
    limits = {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert cores_with(tmp_path, own, limits) == 3
    assert cores_with(tmp_path, own, {"cpu/cpu.cfs_quota_us": "-1\n"}) == 8


def test_without_control_groups_the_cores_that_it_may_run_on_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "nothing", tmp_path / "nothing") == 8


@pytest.fixture
def group() -> Iterator[Path]:
    """A real control group of version 1 or 2 that gives its processes the time of one core."""
    for mount, own, limits in (
        (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", {"cpu.cfs_quota_us": "100000"}),
        (Path("/sys/fs/cgroup"), "cpu.max", {"cpu.max": "100000 100000"}),
    ):
        group = mount / f"reid-shards-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / own).exists():
                for name, value in limits.items():
                    (group / name).write_text(value)
                yield group
                return
        finally:
            group.rmdir()
    pytest.skip("making a control group needs root and a file system that may be written")


def test_a_process_in_a_real_control_group_takes_no_more_cores(group: Path) -> None:
    join = f"echo $$ > {group}/cgroup.procs && exec {sys.executable} -c '{PRINT}'"
    done = subprocess.run(["sh", "-c", join], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
