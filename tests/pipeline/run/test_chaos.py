"""Conversions on a cluster of three nodes that loses nodes, workers and the driver at random moments.

One seed, or as many as the environment's ``CHAOS_SEEDS`` says. What strikes, in which order and after how many
finished shards is the seed's; where exactly in a shard it strikes is chance, as it is in life.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.options import city1m_options
from tests.support.processes import SEEDS, WAIT_SECONDS, finished_shards, kill, start_command, wait_until
from tests.support.rays import RayCluster, ray_cluster, ray_workers
from tests.support.sets import digests, make_set
from tests.support.source import mini_source

pytestmark = pytest.mark.slow

OPTIONS = city1m_options(samples_per_shard=10, crop="reencode", size=(768, 384))
"""Some fifty shards that take their time: crops are made large."""

BLOWS = ("worker", "worker", "stall", "node", "driver")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini_source(groups=40, frames_a_group=6).write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the undisturbed set, made in this process without Ray."""
    out = tmp_path_factory.mktemp("expected")
    make_set(source, out, OPTIONS)
    return digests(out)


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        cluster.start(1)
        yield cluster


@pytest.fixture
def cluster(shared_cluster: RayCluster) -> RayCluster:
    """A cluster of three nodes: those that an earlier test lost are started anew."""
    while len(shared_cluster.nodes) < 3:
        shared_cluster.start(1)
    return shared_cluster


class Conversion:
    """A conversion that is begun again whenever its driver has died."""

    def __init__(self, source: Path, out: Path, address: str) -> None:
        options = ("--samples-per-shard", OPTIONS.common.samples_per_shard, "--crop", "reencode", "--size", "768x384")
        self._arguments = ("convert", source, out, *options, "--address", address)
        self._out = out
        self._begin()

    def _begin(self) -> None:
        self._driver = start_command(*self._arguments)

    def wait_for(self, shards: int) -> bool:
        """Wait until so many shards are finished; False where the driver ends before."""
        wait_until(lambda: finished_shards(self._out) >= shards or self._driver.poll() is not None, f"{shards} shards")
        return self._driver.poll() is None

    def kill(self) -> None:
        """SIGKILL the driver, and begin again."""
        kill(self._driver.pid)
        self._driver.communicate()
        self._begin()

    def finish(self) -> str:
        """Wait for the end; returns what the driver said."""
        output, _ = self._driver.communicate(timeout=WAIT_SECONDS)
        assert self._driver.returncode == 0, output
        return output


def strike(blow: str, chance: random.Random, cluster: RayCluster, conversion: Conversion) -> list[int]:
    """Lose something; returns the process that was stopped, where it was only that."""
    if blow == "driver":
        conversion.kill()
    elif blow == "node":
        cluster.kill(chance.choice(cluster.nodes[1:]))  # not the head
    else:
        workers = [pid for node in cluster.nodes for pid in ray_workers(node)]
        if workers:
            victim = chance.choice(workers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL if blow == "worker" else signal.SIGSTOP)
            return [victim] if blow == "stall" else []
    return []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_lost_the_bytes_are_the_same(
    seed: int, cluster: RayCluster, source: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    chance = random.Random(seed)
    out = tmp_path / "out"
    shards = sum(name.endswith(".tar") for name in expected)
    blows = chance.sample(BLOWS, len(BLOWS))
    moments = sorted(chance.sample(range(shards * 9 // 10), len(blows)))
    stopped: list[int] = []
    conversion = Conversion(source, out, cluster.address)
    for blow, moment in zip(blows, moments, strict=True):
        if not conversion.wait_for(max(moment, finished_shards(out) + 1)):  # it always comes a little further
            break
        time.sleep(chance.uniform(0, 0.2))
        stopped += strike(blow, chance, cluster, conversion)
        assert digests(out).items() <= expected.items(), f"after {blow}: something under its final name is not whole"
    conversion.finish()
    assert digests(out) == expected
    for pid in stopped:  # what was held up goes on, too late
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    if stopped:
        time.sleep(0.5)
    assert digests(out) == expected
    assert list((out / ".work" / "partial").glob("*")) == []
