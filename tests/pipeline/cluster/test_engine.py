"""Shard tasks on a Ray that runs already: the same bytes as elsewhere, and nodes that are not fit are named at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import memory_pressure
from tests.support.processes import run_command
from tests.support.rays import RayCluster, may_mount, ray_cluster
from tests.support.sets import digests

pytestmark = pytest.mark.slow

IMPORTS_TESTS = {"PYTHONPATH": str(Path(__file__).parents[3])}
"""Variables of a node whose workers are to run tasks of ``tests.support``."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A Ray cluster of one node that was there before."""
    with ray_cluster() as cluster:
        cluster.start(2, variables=IMPORTS_TESTS)
        yield cluster


def test_a_running_cluster_makes_the_same_bytes(
    cluster: RayCluster, source_folder: Path, set_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run_command("convert", source_folder, out, "--samples-per-shard", 20, "--address", cluster.address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digests(out) == digests(set_folder)


TAKING_MEMORY = (
    "from pipeline.cluster import engine, scheduler; from tests.support import memory_pressure; "
    "engine._convert_shard = memory_pressure.convert_shard; "
    "scheduler.LOSS_DELAY = 0.1; "  # tells a lost worker from what failed
    "scheduler.STRAGGLER_SECONDS = 1000.0"  # a second copy would end the first before it is killed
)
"""Makes a command start tasks that use up memory, once, on the node whose environment asks for it."""


@pytest.mark.parametrize(
    ("killer", "error"),
    [
        ({"RAY_memory_monitor_refresh_ms": "0"}, "WorkerCrashedError"),  # the kernel
        ({"RAY_memory_monitor_refresh_ms": "20", "RAY_memory_usage_threshold": "0.5"}, "OutOfMemoryError"),  # Ray
    ],
    ids=["kernel", "ray"],
)
def test_a_worker_killed_for_its_memory_costs_its_shards_time(
    killer: dict[str, str], error: str, cluster: RayCluster, source_folder: Path, set_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with memory_pressure.small_node() as wrapper:
        node = cluster.start(
            1, wrapper=wrapper, variables={memory_pressure.TAKES_MEMORY: "1", **killer, **IMPORTS_TESTS}
        )
        try:
            command = ("convert", source_folder, out, "--samples-per-shard", 20, "--address", cluster.address)
            result = run_command(*command, before=TAKING_MEMORY)
        finally:
            cluster.kill(node)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"attempt 1 failed, again in 0.1 s: {error}" in result.stderr
    assert digests(out) == digests(set_folder)


def refused(cluster: RayCluster, source: Path, out: Path) -> str:
    began = time.monotonic()
    result = run_command("convert", source, out, "--address", cluster.address)
    assert result.returncode == 2, result.stdout + result.stderr
    assert time.monotonic() - began < 20, "10 s, where the machine does nothing else"
    assert "Traceback" not in result.stderr
    assert not [path for path in out.rglob("*") if path.is_file()], "nothing was begun"
    return result.stderr


def test_a_node_with_other_versions_is_named(cluster: RayCluster, source_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import msgspec; msgspec.__version__ = '0.1'\n")
    node = cluster.start(1, variables={"PYTHONPATH": str(tmp_path)})
    message = refused(cluster, source_folder, tmp_path / "out")
    cluster.kill(node)
    assert "has msgspec 0.1 instead of" in message
    assert message.count("node ") == 2  # this one, and what every node must have


def test_a_node_that_sees_neither_source_nor_out_is_named(
    cluster: RayCluster, source_folder: Path, tmp_path: Path
) -> None:
    if not may_mount():
        pytest.skip("hiding folders from a process needs root")
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for file in source_folder.iterdir():
        (source / file.name).symlink_to(file)
    hide = f'mount -t tmpfs -o ro tmpfs "{source}" && mount -t tmpfs -o ro tmpfs "{out}" && exec "$@"'
    node = cluster.start(1, wrapper=["unshare", "--mount", "sh", "-c", hide, "sh"])
    message = refused(cluster, source, out)
    cluster.kill(node)
    assert f"{source}/Images_2.zip cannot be read: No such file or directory" in message
    assert f"{out} cannot be written to: Read-only file system" in message


def test_no_cluster_at_the_address_is_said(source_folder: Path, tmp_path: Path) -> None:
    result = run_command("convert", source_folder, tmp_path / "out", "--address", "127.0.0.1:1")
    assert result.returncode == 2
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
