"""Locate the index of a set. A remote set is read in a process of its own, so that the caller can fork later."""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shards_spec.errors import ReidShardsError, SpecError, UsageError
from shards_spec.manifest import MANIFEST_FILE
from shards_spec.manifest_read import manifest_bytes
from shards_spec.storage import RETRY_SECONDS, is_remote, reach_store
from shards_spec.stream.index_cache import prepare_index
from shards_spec.variants import Variant, register
from shards_spec.variants.registry import added_variants

_ERRORS = {error.__name__: error for error in (UsageError, SpecError, ReidShardsError)}


class _Outcome(msgspec.Struct):
    folder: str = ""
    error: str = ""
    message: str = ""


def locate_index(url: str, folder: Path, retry_seconds: float = RETRY_SECONDS) -> Path:
    """Return the folder of a set's index, which is created if necessary; see ``prepare_index``.

    Object stores are read by a separate process that ends afterwards, because this process may fork workers later.

    Args:
        url: URL of the set.
        folder: Folder of all indexes.
        retry_seconds: How long an object store's transient errors are retried.
    """
    if not is_remote(url):
        return _locate(url, folder, retry_seconds)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", __name__, url, str(folder), str(retry_seconds)],
        input=msgspec.msgpack.encode({variant.name: _pickled(variant) for variant in added_variants()}),
        capture_output=True,
        env=environment,
        check=False,
    )
    try:
        outcome = msgspec.json.decode(done.stdout, type=_Outcome)
    except msgspec.DecodeError:
        told = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise ReidShardsError(f"{url}: its index could not be fetched: {told[-1]}") from None
    if outcome.error:
        raise _ERRORS.get(outcome.error, ReidShardsError)(outcome.message)
    return Path(outcome.folder)


def _locate(url: str, folder: Path, retry_seconds: float) -> Path:
    store = reach_store(url, MANIFEST_FILE, retry_seconds=retry_seconds)
    return prepare_index(store, manifest_bytes(store), folder)


def _pickled(variant: Variant) -> bytes:
    """Return a variant for another process; nothing if it has functions that no module defines."""
    try:
        return pickle.dumps(variant)
    except (AttributeError, TypeError, pickle.PicklingError):
        return b""


def _register(variants: Mapping[str, bytes]) -> list[str]:
    """Register the variants of the process that started this one; return the names of those that cannot be imported."""
    lost = []
    for name, pickled in variants.items():
        try:
            register(pickle.loads(pickled))  # noqa: S301 - from the process that started this one
        except (AttributeError, ImportError, EOFError):
            lost.append(name)
    return lost


def main() -> None:
    """Prepare the index of a set, and report its folder to the process that started this one."""
    url, folder, retry_seconds = sys.argv[1:]
    lost = _register(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=dict[str, bytes]))
    try:
        outcome = _Outcome(folder=str(_locate(url, Path(folder), float(retry_seconds))))
    except (ReidShardsError, OSError) as error:
        message = str(error)
        if lost and isinstance(error, SpecError):
            message += f". {', '.join(lost)}: define this variant in a module that can be imported"
        outcome = _Outcome(error=type(error).__name__, message=message)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
