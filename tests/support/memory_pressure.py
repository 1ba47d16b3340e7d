"""A node of Ray's with little memory, and a shard task that takes it all, once, until it is killed for it."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster import engine
from pipeline.cluster.installation import Installation
from pipeline.shards.convert import ShardTask
from pipeline.shards.record import ShardRecord
from tests.support.processes import wait_until
from tests.support.rays import may_mount

TAKES_MEMORY = "TAKES_MEMORY"
"""Variable of the node whose first task takes memory."""

NODE_BYTES = 2 * 2**30
"""Memory of a small node: a few times what it takes itself."""
STEP_BYTES = 8 * 2**20
STEP_SECONDS = 0.02

VERSIONS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.swap.max"),
)
"""Where the two versions of Linux's cgroups are, and their limits, of memory and with swap."""


def convert_shard(task: ShardTask, source_url: str, out_url: str, driver: Installation) -> ShardRecord:
    """Convert a shard in a Ray worker; other nodes wait until the first task of the small node has taken memory."""
    marker = Path(f"{out_url}.begun")
    if TAKES_MEMORY in os.environ and not marker.exists():
        marker.touch()
        _take_memory()
    wait_until(marker.exists, "the first task of the node that runs out of memory")
    return engine._convert_shard(task, source_url, out_url, driver)  # noqa: SLF001


def _take_memory() -> None:
    taken: list[bytes] = []
    while len(taken) * STEP_BYTES < NODE_BYTES:
        taken.append(b"x" * STEP_BYTES)
        time.sleep(STEP_SECONDS)  # Ray, which looks now and then, must see it before the kernel does
    raise AssertionError(f"nobody minded {NODE_BYTES} bytes")


@contextlib.contextmanager
def small_node() -> Iterator[list[str]]:
    """The wrapper of a node that has ``NODE_BYTES`` of memory, as a container would; skips the test where none can be.

    Ray reads its limit where a container's would stand; the kernel kills for it whatever others on the machine take.
    """
    for parent, *limits in VERSIONS:
        folder = parent / f"reid-shards-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            files = [folder / limit for limit in limits if (folder / limit).exists()]
            if files and may_mount():
                for file in files:
                    file.write_text(str(NODE_BYTES))
                enter = f'mount --bind {folder} {parent} && echo $$ > {parent}/cgroup.procs && exec "$@"'
                yield ["unshare", "--mount", "sh", "-c", enter, "sh"]
                return
        finally:
            _remove(folder)
    pytest.skip("limiting a node's memory needs root and a memory cgroup of one's own")


def _remove(cgroup: Path) -> None:
    def is_removed() -> bool:
        try:
            cgroup.rmdir()
        except OSError:  # its processes were killed, but take a moment to end
            return False
        return True

    wait_until(is_removed, "the processes of a small node to end")
