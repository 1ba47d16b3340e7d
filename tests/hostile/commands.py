"""The commands, run in this process so that thousands of damaged sets can be tried, and what they may never do."""

import contextlib
import io
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Self
from unittest import mock

from pipeline.cli import main as cli
from pipeline.cluster.scheduler import Event
from pipeline.plan import Plan, ShardPlan
from pipeline.run import convert, driver
from pipeline.shards.convert import convert_shard
from pipeline.shards.tasks import shard_task
from shards_spec import open_dataset
from shards_spec.errors import ReidShardsError
from shards_spec.storage import open_store
from shards_spec.verify import processes

CODES = {0, 1, 2, 3}
COMMAND_SECONDS = 30
"""A hundred times what a command takes on the small sets that are damaged here."""
LONGEST_OUTPUT = 60_000
"""Characters: a name of a megabyte is no reason to print a megabyte."""

_RAW_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Finding(Exception):  # noqa: N818
    """Something that a command did and must not do."""


class _TooSlowError(BaseException):
    """Not to be caught by what is tried."""


class _InThisProcess(Executor):
    """In place of processes: an unexpected exception surfaces with its traceback, and nothing has to be started."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take what a pool of processes takes."""

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*arguments, **named))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


class _NoRay:
    """In place of a session of Ray."""

    is_local = is_ready = True

    def __init__(self, *_: object) -> None:
        """Take what a session takes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def start(self) -> None:
        """Start nothing."""

    wait = end = start


def _run_here(_: _NoRay, plan: Plan, shards: Iterable[ShardPlan], source_url: str, out_url: str) -> Iterator[Event]:
    """In place of Ray."""
    for shard in shards:
        yield convert_shard(shard_task(plan, shard), open_store(source_url), open_store(out_url))


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """While the block runs, commands start no other processes."""
    with (
        mock.patch.object(processes, "ProcessPoolExecutor", _InThisProcess),
        mock.patch.object(convert, "RaySession", _NoRay),
        mock.patch.object(driver, "run_shards", _run_here),
    ):
        yield


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(*arguments: object) -> int:
    """Run a command to its end; returns its exit code.

    Raises:
        Finding: it ended otherwise, or printed what it must not.
    """
    words = ["reid-shards", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    try:
        with (
            _limited(COMMAND_SECONDS),
            mock.patch.object(sys, "argv", words),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        code = end.code
    except _TooSlowError as error:
        raise Finding(f"{words}: takes more than {COMMAND_SECONDS} s:\n{_trace(error)}") from None
    except BaseException as error:  # noqa: BLE001
        raise Finding(f"{words}: {type(error).__name__}:\n{_trace(error)}") from None
    text = out.getvalue() + err.getvalue()
    if code not in CODES:
        raise Finding(f"{words}: exit code {code}:\n{text[-3000:]}")
    if "Traceback" in text:
        raise Finding(f"{words}: prints a traceback:\n{text[-3000:]}")
    if cli.NO_MEMORY in text:
        raise Finding(f"{words}: takes all memory:\n{text[-3000:]}")
    if odd := _RAW_CONTROL.search(text):
        raise Finding(f"{words}: prints {odd[0]!r}: ...{text[max(odd.start() - 200, 0) : odd.end() + 100]!r}")
    if len(text) > LONGEST_OUTPUT:
        raise Finding(f"{words}: prints {len(text)} characters: {text[:300]!r} ... {text[-300:]!r}")
    return int(str(code))


def call(what: str, act: Callable[[], object]) -> None:
    """Call a part of the library as its user does: it returns, or raises what its user can act on.

    Raises:
        Finding: it does neither.
    """
    try:
        with _limited(COMMAND_SECONDS):
            act()
    except (ReidShardsError, OSError):
        return
    except _TooSlowError as error:
        raise Finding(f"{what}: takes more than {COMMAND_SECONDS} s:\n{_trace(error)}") from None
    except BaseException as error:  # noqa: BLE001
        raise Finding(f"{what}: {type(error).__name__}:\n{_trace(error)}") from None


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-4000:]


def read_all(out: Path, **options: Any) -> None:
    """Read a split to its end."""
    for _ in open_dataset(out).stream(protocol=1, split="train", **options):
        pass
