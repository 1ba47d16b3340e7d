"""The command line in processes of its own, to be watched and killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

IMPATIENT = (
    "from pipeline.cluster import scheduler; "
    "scheduler.RETRY_DELAYS = (0.2,) * 3; scheduler.LOSS_DELAY = 0.2; scheduler.STRAGGLER_SECONDS = 2.0"
)
HEED_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""What a shell starts in the background ignores Ctrl-C, and so do the tests' own commands where the tests run there."""

ROOT = Path(__file__).parents[2]
"""The folder that modules of the tests are imported from."""


def program(before: str = "pass") -> list[str]:
    """Return the command as installed, but for less patience with what fails or is held up.

    Args:
        before: Python statements to run first, in one line.
    """
    code = f"{HEED_INTERRUPTS}; {IMPATIENT}; {before}; from pipeline.cli.main import main; main()"
    return [sys.executable, "-c", code]


PROGRAM = program()

SEEDS = int(os.environ.get("CHAOS_SEEDS", "1"))
"""How often a test that disturbs a run at random moments does so, each time with another seed."""
WAIT_SECONDS = 120.0
"""For anything a test waits for: far beyond what it takes, so that a slow machine fails no test."""


def environment() -> dict[str, str]:
    """The test's own environment, less what would join a cluster."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


def _environment(before: str) -> dict[str, str]:
    """The environment; statements that run first import modules of the tests, and workers must find these as well."""
    return environment() | ({} if before == "pass" else {"PYTHONPATH": str(ROOT)})


def run_command(
    *arguments: object, timeout: float = WAIT_SECONDS, before: str = "pass"
) -> subprocess.CompletedProcess[str]:
    """Run ``reid-shards`` to its end."""
    return subprocess.run(
        [*program(before), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=_environment(before),
        check=False,
    )


def start_command(*arguments: object, before: str = "pass") -> subprocess.Popen[str]:
    """Start ``reid-shards`` in a session of its own, its output together on ``stdout``."""
    return subprocess.Popen(
        [*program(before), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(before),
        start_new_session=True,
    )


def wait_until(condition: Callable[[], bool], what: str, timeout: float = WAIT_SECONDS) -> None:
    """Return when ``condition`` holds; raise where it does not in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout} s for: {what}")
        time.sleep(0.01)


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Every process below ``pid`` with its command line, from Linux's ``/proc``."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        parents[int(entry.name)] = (int(status.rpartition(")")[2].split()[1]), command)
    family = {pid}
    grown = True
    while grown:
        children = {child for child, (parent, _) in parents.items() if parent in family} - family
        family |= children
        grown = bool(children)
    for child in sorted(family - {pid}):
        yield child, parents[child][1]


def kill(pid: int) -> None:
    """SIGKILL; a process that is gone already is no error."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def finished_shards(out: Path) -> int:
    """How many shards a conversion has finished so far."""
    records = out / ".work" / "records"
    return len(list(records.iterdir())) if records.is_dir() else 0
