"""What was rejected and why: counts by reason, with a few examples of each."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from shards_spec.errors import SpecError
from shards_spec.manifest import REJECTS_FILE
from shards_spec.rejects import REJECTS_BYTES, Reject, decode_rejects
from shards_spec.storage import FileTooLargeError, ReadableStore

EXAMPLES = 5
"""Lines of ``rejects.jsonl`` that are shown of each reason."""
_BLOCK_BYTES = 8 * 2**20
_LONGEST_LINE = 2**20


@dataclass(slots=True)
class Losses:
    """What ``rejects.jsonl`` says."""

    lines: Counter[str] = field(default_factory=Counter)
    """Lines by reason."""
    samples: Counter[str] = field(default_factory=Counter)
    """Lost samples by reason."""
    examples: dict[str, list[Reject]] = field(default_factory=dict)
    """The first lines of each reason."""
    fault: str | None = None
    """Why the file, or the rest of it, could not be read."""


def read_losses(store: ReadableStore) -> Losses:
    """Read the rejects of a set, a part of the file at a time."""
    losses = Losses()
    try:
        for lines in _blocks(store, store.size(REJECTS_FILE)):
            _add(losses, decode_rejects(lines))
    except (OSError, EOFError, SpecError) as error:
        losses.fault = "is missing" if isinstance(error, FileNotFoundError) else str(error)
    return losses


def _blocks(store: ReadableStore, size: int) -> Iterator[bytes]:
    """Yield the file in blocks of whole lines."""
    if size > REJECTS_BYTES:
        raise FileTooLargeError(REJECTS_FILE, size, REJECTS_BYTES)
    rest = b""
    for start in range(0, size, _BLOCK_BYTES):
        lines, end, rest = (rest + store.read(REJECTS_FILE, start, min(size, start + _BLOCK_BYTES))).rpartition(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise SpecError(f"a line of more than {_LONGEST_LINE:,} bytes")
        yield lines + end
    yield rest


def _add(losses: Losses, rejects: list[Reject]) -> None:
    for reject in rejects:
        reason = str(reject.reason)
        losses.lines[reason] += 1
        losses.samples[reason] += reject.samples
        examples = losses.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(reject)
