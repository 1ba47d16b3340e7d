"""Damaged sets, sources and caches, one after the other, each given to the commands that may meet it."""

import json
import os
import random
import re
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shards_spec import open_dataset
from shards_spec.manifest import MANIFEST_FILE
from tests.hostile import commands, targets
from tests.hostile.commands import Finding, call, read_all, run
from tests.hostile.damage import damage_json
from tests.support.sets import make_set
from tests.support.source import mini_source

MEMORY = 3 * 2**30
"""Bytes of address space beyond what the process has when it begins: a bomb ends in ``MemoryError`` here."""


@dataclass(slots=True)
class Outcome:
    """What a campaign came to."""

    cases: Counter[str] = field(default_factory=Counter)
    """By scenario."""
    codes: Counter[str] = field(default_factory=Counter)
    """Exit codes, as ``verify 1``."""
    findings: list[str] = field(default_factory=list)


class Campaign:
    """Makes sound sets once, and damaged copies of them as long as it is asked to.

    Args:
        folder: to work in; holds nothing else.
        seed: of the first case.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._source = mini_source(groups=6, frames_a_group=3).write(folder / "source")
        self._complete = folder / "complete"
        make_set(self._source, self._complete)
        self._unfinished = Path(shutil.copytree(self._complete, folder / "unfinished"))
        (self._unfinished / MANIFEST_FILE).unlink()
        min((self._unfinished / ".work/records").iterdir()).unlink()
        self.outcome = Outcome()
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        stream = open_dataset(self._complete).stream(protocol=1, split="train", seed=3)
        iterator = iter(stream)
        for _ in range(5):
            next(iterator)
        self._state = json.dumps(stream.state_dict())

    def run(self, seconds: float, cases: int | None = None) -> Outcome:
        """Try cases until the time or their number is used up; keeps the folders of those that found something."""
        end = time.monotonic() + seconds
        scenarios: list[tuple[str, Callable[[random.Random, Path], Iterator[str]]]] = [
            ("complete set", self._try_complete),
            ("complete set", self._try_complete),
            ("unfinished set", self._try_unfinished),
            ("source", self._try_source),
            ("state", self._try_state),
            ("cache", self._try_cache),
        ]
        number = self._seed
        with commands.in_this_process():
            while time.monotonic() < end and (cases is None or number - self._seed < cases):
                rng = random.Random(number)
                name, attempt = scenarios[number % len(scenarios)]
                place = self._folder / f"case-{number}"
                place.mkdir()
                done: list[str] = []
                try:
                    done.extend(attempt(rng, place))
                except Finding as finding:
                    self.outcome.findings.append(f"case {number} ({name}): {'; '.join(done)}\n{finding}")
                shutil.rmtree(place, ignore_errors=True)
                self.outcome.cases[name] += 1
                number += 1
        return self.outcome

    def _command(self, *words: object) -> int:
        code = run(*words)
        self.outcome.codes[f"{words[0]} {code}"] += 1
        return code

    def _try_complete(self, rng: random.Random, place: Path) -> Iterator[str]:
        out = Path(shutil.copytree(self._complete, place / "set"))
        yield from targets.damaged(rng, targets.COMPLETE, out)
        self._use(rng, out, place)

    def _use(self, rng: random.Random, out: Path, place: Path) -> None:
        self._command("status", out)
        self._command("verify", out)
        self._command("export", "wids", out, "--to", place / "lists")
        self._command("stream", out)
        self._command("stream", out, "--size", "64x32")
        self._command("verify", out, "--source", self._source)
        call("a stream of frames", lambda: read_all(out, decode="rgb", by="frame", on_error="skip", size=(16, 8)))
        self._command("convert", self._source, out, "--samples-per-shard", 20)
        if rng.random() < 0.3:
            shutil.rmtree(out / ".work", ignore_errors=True)
            self._command("convert", self._source, out, "--samples-per-shard", 20)

    def _try_unfinished(self, rng: random.Random, place: Path) -> Iterator[str]:
        out = Path(shutil.copytree(self._unfinished, place / "set"))
        yield from targets.damaged(rng, targets.UNFINISHED, out)
        self._command("status", out)
        for _ in range(3):  # what a run finds damaged, the next one makes again
            code = self._command("convert", self._source, out, "--samples-per-shard", 20)
            if code == 0:
                break
        if code == 0 and self._command("verify", out) != 0 and not any(path.is_symlink() for path in out.rglob("*")):
            raise Finding("convert ended with 0, but verify finds faults")

    def _try_source(self, rng: random.Random, place: Path) -> Iterator[str]:
        source = Path(shutil.copytree(self._source, place / "source"))
        yield from targets.damaged(rng, targets.SOURCE, source)
        out = place / "set"
        self._command("plan", source)
        if self._command("convert", source, out) in {0, 3} and self._command("verify", out, "--source", source) != 0:
            raise Finding("convert ended well, but verify finds faults")
        self._command("verify", self._complete, "--source", source)

    def _try_state(self, rng: random.Random, place: Path) -> Iterator[str]:
        text = damage_json(rng, self._state.encode())
        (place / "state.json").write_bytes(text)
        yield f"state {text[:300]!r}"
        try:
            state = json.loads(text)
        except (ValueError, RecursionError):
            return

        def resume() -> None:
            stream = open_dataset(self._complete).stream(protocol=1, split="train", seed=3)
            stream.load_state_dict(state)
            for _, _ in zip(range(50), stream, strict=False):
                pass

        call("a stream that goes on from a state", resume)

    def _try_cache(self, rng: random.Random, place: Path) -> Iterator[str]:
        before = os.environ["XDG_CACHE_HOME"]
        os.environ["XDG_CACHE_HOME"] = str(place / "cache")
        try:
            call("a stream", lambda: read_all(self._complete, decode="rgb", size=(16, 8)))
            yield from targets.damaged(rng, targets.CACHE, place / "cache/reid-shards")
            self._command("stream", self._complete)
            call("a stream", lambda: read_all(self._complete, decode="rgb", by="frame", size=(16, 8)))
        finally:
            os.environ["XDG_CACHE_HOME"] = before


def limit_memory() -> None:
    """Let this process have ``MEMORY`` more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run_campaign(seconds: float, seed: int, cases: int | None = None) -> Outcome:
    """Run a campaign in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), seed)
        limit_memory()
        return campaign.run(seconds, cases)


def told(outcome: Outcome) -> str:
    """A campaign's outcome for a person."""
    counts: dict[str, Any] = {"cases": dict(outcome.cases), "exit codes": dict(sorted(outcome.codes.items()))}
    kinds: dict[str, list[str]] = {}
    for finding in outcome.findings:
        kinds.setdefault(_kind(finding), []).append(finding)
    alike = [f"{len(same)} times: {same[0]}\n" for same in kinds.values()]
    return "\n".join([*alike, *(f"{name}: {value}" for name, value in counts.items())])


def _kind(finding: str) -> str:
    """What findings with one cause have in common: the place that raised, and the error's type."""
    places = re.findall(r'File "[^"]+/(?:pipeline|shards_spec)/([^"]+", line \d+)', finding)
    errors = re.findall(r"^(?:[\w.]+Error|[\w.]+Exception)", finding, re.MULTILINE)
    return " ".join([*places[-1:], *errors[-1:]]) or finding[-80:]
