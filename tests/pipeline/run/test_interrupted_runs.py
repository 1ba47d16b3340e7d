"""Conversions that are disturbed with real signals, on a real Ray, end in the bytes of the undisturbed one."""

import errno
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.options import city1m_options
from tests.support.processes import (
    SEEDS,
    WAIT_SECONDS,
    descendants,
    finished_shards,
    kill,
    run_command,
    start_command,
    wait_until,
)
from tests.support.sets import digests, make_set
from tests.support.source import frame_image, mini_source

pytestmark = pytest.mark.slow

SAMPLES_PER_SHARD = 20
OPTIONS = ("--samples-per-shard", SAMPLES_PER_SHARD, "--crop", "reencode")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some fifty shards of large frames, so that there is time to disturb them; every tenth frame is a trap."""
    mini = mini_source(groups=40, frames_a_group=10)
    large = [frame_image(number, (1600, 900), quality=60) for number in (1, 2, 4)]
    for members in mini.archives.values():
        for number, name in enumerate(members):
            members[name] = members[name][:500] if number % 10 == 0 else large[number % 3]
    return mini.write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the undisturbed set, made in this process without Ray."""
    out = tmp_path_factory.mktemp("expected")
    make_set(source, out, city1m_options(samples_per_shard=SAMPLES_PER_SHARD, crop="reencode"))
    return digests(out)


@pytest.fixture
def convert_to_the_end(source: Path, shared_ray: tuple[str, str]) -> Callable[..., str]:
    """Convert into a folder what it lacks; returns what is said about that."""

    def convert(out: Path, source: Path = source) -> str:
        result = run_command("convert", source, out, *OPTIONS, "--max-rejects", "100%", *shared_ray)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stderr

    return convert


@pytest.fixture
def running(source: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A conversion into ``tmp_path / "out"`` that has begun and has far to go."""
    process = start_command("convert", source, tmp_path / "out", *OPTIONS, "--max-rejects", "100%", "--workers", 2)
    try:
        yield process
    finally:
        for pid, _ in descendants(process.pid):
            kill(pid)
        process.kill()
        process.communicate()


def wait_for_shards(process: subprocess.Popen[str], out: Path, count: int) -> None:
    wait_until(lambda: finished_shards(out) >= count or process.poll() is not None, f"{count} shards")
    assert process.poll() is None, process.stdout.read() if process.stdout else ""


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("victim", ["driver", "worker", "all"])
def test_killed_at_any_time_and_continued_it_makes_the_same_bytes(
    expected: dict[str, str],
    tmp_path: Path,
    running: subprocess.Popen[str],
    convert_to_the_end: Callable[..., str],
    victim: str,
    seed: int,
) -> None:
    out = tmp_path / "out"
    shards = sum(name.endswith(".tar") for name in expected)
    wait_for_shards(running, out, random.Random(f"{victim} {seed}").randrange(shards // 2))
    family = list(descendants(running.pid))
    if victim == "driver":
        kill(running.pid)
    elif victim == "worker":
        workers = [pid for pid, command in family if command.startswith("ray::_convert_shard")]
        for pid in workers[:1]:
            kill(pid)
    else:
        for pid, _ in family:
            kill(pid)
    code = running.wait(WAIT_SECONDS)
    whole = {name: digest for name, digest in digests(out).items() if name.endswith(".tar")}
    assert whole.items() <= expected.items(), "something stands under a final name that is not whole"
    if victim == "worker":
        assert code == 0
    else:
        assert code != 0
        assert not (out / "dataset.json").exists()
        assert len(whole) < shards
        assert "continuing" in convert_to_the_end(out) or finished_shards(out) == 0
    assert digests(out) == expected


@pytest.mark.parametrize("stop", ["Ctrl-C", "SIGTERM"])
def test_it_stops_cleanly_and_the_same_command_continues(
    expected: dict[str, str],
    tmp_path: Path,
    running: subprocess.Popen[str],
    convert_to_the_end: Callable[..., str],
    stop: str,
) -> None:
    out = tmp_path / "out"
    wait_for_shards(running, out, 3)
    family = [pid for pid, _ in descendants(running.pid)]
    if stop == "Ctrl-C":
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the driver and its children
    else:
        os.kill(running.pid, signal.SIGTERM)  # as schedulers do: to the driver alone
    output, _ = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 130
    assert "the same command continues" in output
    assert "Traceback" not in output
    assert "SIGTERM" not in output
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "Ray's processes to end")
    assert "continuing" in convert_to_the_end(out)
    assert list((out / ".work" / "partial").glob("*")) == []
    assert digests(out) == expected


def test_a_second_driver_is_told_who_holds_the_folder(
    source: Path, expected: dict[str, str], tmp_path: Path, running: subprocess.Popen[str]
) -> None:
    out = tmp_path / "out"
    wait_for_shards(running, out, 1)
    os.kill(running.pid, signal.SIGSTOP)  # it holds the folder all the same, and the test need not hurry
    second = run_command("convert", source, out, *OPTIONS)
    os.kill(running.pid, signal.SIGCONT)
    assert second.returncode == 2
    assert f"process {running.pid}" in second.stderr
    assert running.wait(WAIT_SECONDS) == 0
    assert digests(out) == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_fails_the_run_and_leaves_nothing_half_written(
    source: Path, expected: dict[str, str], small_disk: Path, convert_to_the_end: Callable[..., str]
) -> None:
    out = small_disk / "out"
    result = run_command("convert", source, out, *OPTIONS, "--workers", 2, timeout=2 * WAIT_SECONDS)
    assert result.returncode == 1, result.stdout + result.stderr
    assert os.strerror(errno.ENOSPC) in result.stderr
    assert "attempt 1 failed, again in" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (out / "dataset.json").exists()
    whole = {name: digest for name, digest in digests(out).items() if name.endswith(".tar")}
    assert whole
    assert whole.items() <= expected.items()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert "continuing" in convert_to_the_end(out)
    assert digests(out) == expected


def test_archives_that_vanish_fail_their_shards_by_name(
    source: Path, tmp_path: Path, convert_to_the_end: Callable[..., str]
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    out = tmp_path / "out"
    process = start_command("convert", folder, out, *OPTIONS, "--workers", 1)
    wait_for_shards(process, out, 1)
    (folder / "Images_3.zip").rename(folder / "gone")
    output, _ = process.communicate(timeout=2 * WAIT_SECONDS)
    assert process.returncode == 1, output
    assert "Images_3.zip" in output
    assert "failed for good" in output
    assert not (out / "dataset.json").exists()
    (folder / "gone").rename(folder / "Images_3.zip")
    convert_to_the_end(out, folder)
