"""Ray from its start to its end: what workers import, and that nothing is waited for or left behind."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.processes import WAIT_SECONDS, environment, wait_until
from tests.support.rays import ray_cluster
from tests.support.sets import digests
from tests.support.source import mini_source

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PYTHON, *PROGRAM = processes.PROGRAM
DECOYS = ("pipeline", "shards_spec", "msgspec", "pyarrow", "numpy")
MARK = "REID_SHARDS_TEST"


def run(
    folder: Path, *arguments: object, flags: tuple[str, ...] = ("-P",), variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``reid-shards`` in a folder, which ``-P`` keeps off its own path as the installed command does."""
    return subprocess.run(
        [PYTHON, *flags, *PROGRAM, *map(str, arguments)],
        cwd=folder,
        env={**environment(), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def marked(mark: str) -> list[str]:
    """The processes that inherited a mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # no process, not ours, or gone meanwhile
            continue
    return found


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A folder with packages that bear the names of what workers import, and leave a file if they are imported."""
    folder = tmp_path / "decoys"
    for name in DECOYS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"open({str(folder / f'{name} ran')!r}, 'w')\n")
    return folder


def imported(decoys: Path) -> list[str]:
    return sorted(path.name for path in decoys.glob("* ran"))


def test_workers_import_nothing_from_the_folder_they_are_started_in(
    decoys: Path, source_folder: Path, set_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run(decoys, "convert", source_folder, out, "--samples-per-shard", 20)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digests(out) == digests(set_folder)
    assert imported(decoys) == []


def test_nor_do_the_workers_of_a_cluster(decoys: Path, source_folder: Path, set_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = tmp_path / "broken"
    (broken / "pipeline").mkdir(parents=True)
    (broken / "pipeline" / "__init__.py").write_text("import pipeline.crop._core_\n")
    with ray_cluster() as cluster:
        cluster.start(2)
        arguments = ("convert", source_folder, out, "--samples-per-shard", 20, "--address", cluster.address)
        result = run(decoys, *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"joining the Ray cluster at {cluster.address}" in result.stderr
        assert digests(out) == digests(set_folder)
        assert imported(decoys) == []
        # What a node's own PYTHONPATH names is its administrator's choice, and said where it does not work.
        cluster.start(1, variables={"PYTHONPATH": str(broken)})
        result = run(decoys, "convert", source_folder, tmp_path / "other", "--address", cluster.address)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "cannot run reid-shards: cannot import reid-shards: ModuleNotFoundError" in result.stderr
    assert f"It finds pipeline in {broken}/pipeline, and this process runs {ROOT}/pipeline" in result.stderr
    assert "Traceback" not in result.stderr


def test_workers_that_run_another_copy_are_named_once(source_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for package in ("pipeline", "shards_spec"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    arguments = ("convert", source_folder, tmp_path / "out", "--samples-per-shard", 20)
    result = run(copy, *arguments, flags=())  # as `python -m` does, it imports from the current folder itself
    assert result.returncode == 1, result.stdout + result.stderr
    line = f"Ray's workers run {ROOT}/pipeline, and this process runs {copy}/pipeline"
    assert result.stderr.count(line) == 2  # as it happens, and at the end
    assert "shards failed the same way" in result.stderr
    assert "again in" not in result.stderr


def test_workers_that_cannot_import_are_not_tried_again(source_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "pipeline").mkdir(parents=True)
    (broken / "pipeline" / "__init__.py").write_text("raise ModuleNotFoundError('No module named zlib_ng')\n")
    arguments = ("convert", source_folder, tmp_path / "out", "--samples-per-shard", 20)
    # -I: the driver does not look at PYTHONPATH, and Ray's workers do.
    result = run(tmp_path, *arguments, flags=("-I",), variables={"PYTHONPATH": str(broken)})
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stderr.count("No module named zlib_ng") == 2  # as it happens, and at the end
    assert f"It finds pipeline in {broken}/pipeline, and this process runs {ROOT}/pipeline" in result.stderr
    assert "shards failed the same way" in result.stderr
    assert "again in" not in result.stderr


def run_marked(folder: Path, *arguments: object, stop: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Run a command, which is stopped while Ray starts if ``stop`` is given; return its code and its messages.

    All processes must end with it. Those that Ray's raylet starts notice by themselves that it is gone, but only after
    more than half a minute.
    """
    mark, said = secrets.token_hex(8), ""
    with subprocess.Popen(
        [PYTHON, *PROGRAM, *map(str, arguments)],
        cwd=folder,
        env={**environment(), MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        if stop is not None:
            while "starting Ray on" not in said:
                said += process.stderr.readline()
            stop(process.pid)
        said += process.stderr.read()
        code = process.wait(WAIT_SECONDS)
    wait_until(lambda: not marked(mark), "Ray's processes to end", timeout=15)
    return code, said


def test_a_conversion_that_is_done_leaves_no_process(source_folder: Path, tmp_path: Path) -> None:
    code, said = run_marked(tmp_path, "convert", source_folder, tmp_path / "out")
    assert code == 0, said
    assert (tmp_path / "out" / "dataset.json").exists()


def test_a_plan_that_fails_while_ray_starts_leaves_nothing(tmp_path: Path) -> None:
    folder = mini_source(3).write(tmp_path / "source")
    (folder / "Images_3.zip").write_bytes((folder / "Images_3.zip").read_bytes()[:-30])
    code, said = run_marked(tmp_path, "convert", folder, tmp_path / "out")
    assert code == 2, said
    assert "Images_3.zip" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_can_be_interrupted_while_ray_starts(stop: signal.Signals, source_folder: Path, tmp_path: Path) -> None:
    code, said = run_marked(tmp_path, "convert", source_folder, tmp_path / "out", stop=lambda pid: os.kill(pid, stop))
    assert code == 130, said
    assert "the same command continues" in said
    assert "Traceback" not in said


def test_a_session_can_follow_another() -> None:
    program = (
        "import ray\n"
        "from pipeline.cluster.session import RaySession\n"
        "for cores in (1, 2):\n"
        "    with RaySession(cores, None) as session:\n"
        "        session.wait()\n"
        "        print(ray.cluster_resources()['CPU'])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "1.0\n2.0\n", result.stderr
