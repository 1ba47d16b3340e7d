"""The right to write to a set in an object store: a lease, which a heartbeat renews and which expires after a minute.

Leases are numbered files. To take a lease, a process creates the file of the next number. If several processes try, the
store lets only one of them create it. The highest number holds the store. This requires neither compare-and-swap nor
synchronised clocks.
"""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from shards_spec.errors import SpecError
from shards_spec.jsons import decode_json
from shards_spec.storage.base import PARTIAL_FOLDER, Store, StoreBusyError, StoreLostError

if TYPE_CHECKING:
    from obstore import ObjectMeta

LEASE_FOLDER = ".work/lease"
LEASE_SECONDS = 60.0
"""Time without a sign of life after which anybody may take the next lease."""
BEATS = 4
"""Number of signs of life in that time. All but one of them may fail."""


class LeaseStore(Store, Protocol):
    """A store that knows by its own clock when its files were modified."""

    def entries(self, folder: str = "") -> list["ObjectMeta"]:
        """Return the files below ``folder``."""


class _Lease(msgspec.Struct, frozen=True):
    """The content of a lease's file."""

    owner: str
    token: str
    """Identifies this holder, even if another has the same description."""
    beat: int = 0
    is_over: bool = False


_LEASE_BYTES = 2**16
_decoder = msgspec.json.Decoder(_Lease)


@contextlib.contextmanager
def hold_lease(store: LeaseStore, owner: str, seconds: float) -> Iterator[None]:
    """Own the store as its only writer while the block runs.

    If the last lease has a holder, this process watches it: until it gives a sign of life, which takes at most a
    quarter of ``seconds``, or until ``seconds`` have passed since the last one. If the lease is lost to another process
    or cannot be renewed in time, the block is interrupted as by Ctrl-C.

    Args:
        store: Store whose requests fail within a quarter of ``seconds``.
        owner: Description of this process, for others who find the store held.
        seconds: Time without a sign of life after which anybody may take the next lease.

    Raises:
        StoreBusyError: Another process holds the store.
        StoreLostError: This process held the store and has lost it.
    """
    path, lease = _acquire(store, owner, seconds)
    heart = _Heart(store, path, lease, seconds)
    heart.start()
    try:
        try:
            yield
        finally:
            heart.stop()  # a late interrupt by the heart arrives here
    except KeyboardInterrupt:
        heart.check()
        raise
    finally:
        if not heart.lost:
            with contextlib.suppress(OSError):  # the lease then expires by itself
                store.put(path, _encode(msgspec.structs.replace(lease, is_over=True)))
    heart.check()


class _Heart(threading.Thread):
    """A thread that renews a lease until it is stopped or the lease is lost."""

    def __init__(self, store: LeaseStore, path: str, lease: _Lease, seconds: float) -> None:
        super().__init__(name="lease", daemon=True)
        self._store = store
        self._path = path
        self._lease = lease
        self._seconds = seconds
        self._stopped = threading.Event()
        self.lost = ""
        """How the lease was lost; empty if it was not."""

    def run(self) -> None:
        """Renew the lease, and check that it is still the last one."""
        renewed = time.monotonic()
        beat = 0
        while not self._stopped.wait(self._seconds / BEATS):
            beat += 1
            began = time.monotonic()
            try:
                self._store.put(self._path, _encode(msgspec.structs.replace(self._lease, beat=beat)))
                newest = _newest(self._store)
            except OSError as error:
                # This is one beat before the lease expires, so nobody else can have it yet.
                if time.monotonic() - renewed > self._seconds * (1 - 1 / BEATS):
                    self._lose(f"could not be kept: {error}")
                    return
                continue
            if newest is None or newest["path"] != self._path:
                self._lose("was taken by another process, or deleted, while this one gave no sign of life")
                return
            renewed = began

    def _lose(self, how: str) -> None:
        self.lost = f"{self._store.url}: the right to write there {how}. The same command continues"
        os.kill(os.getpid(), signal.SIGINT)  # a real signal interrupts what the main thread is waiting for

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()

    def check(self) -> None:
        """Raise ``StoreLostError`` if the lease was lost."""
        if self.lost:
            raise StoreLostError(self.lost) from None


def _acquire(store: LeaseStore, owner: str, seconds: float) -> tuple[str, _Lease]:
    """Create the next lease once the last one is over; return its path and content."""
    lease = _Lease(owner, secrets.token_hex(8))
    newest = _newest(store)
    number = 1
    if newest is not None:
        number = int(newest["path"].rpartition("/")[2]) + 1
        _wait_for_end(store, newest, seconds)
    path = f"{LEASE_FOLDER}/{number:09d}"
    if not store.create(path, _encode(lease)):
        taken = _read(store, path)
        if taken is None or taken.token != lease.token:  # it is ours if only the store's answer was lost
            raise _busy(store, taken)
    # Other processes may have come, deleted older leases and gone since the last lease was read.
    newest = _newest(store)
    if newest is None or newest["path"] != path:
        store.delete(path)
        raise _busy(store, newest and _read(store, newest["path"]))
    for entry in store.entries(LEASE_FOLDER):
        if entry["path"] < path:
            store.delete(entry["path"])
    return path, lease


def lease_holder(store: LeaseStore, seconds: float) -> str | None:
    """Return the owner of the last lease if it is alive by this machine's clock, which may be a little off."""
    newest = _newest(store)
    if newest is None or (datetime.now(UTC) - newest["last_modified"]).total_seconds() > seconds:
        return None
    lease = _read(store, newest["path"])
    return None if lease is None or lease.is_over else lease.owner


def _wait_for_end(store: LeaseStore, newest: "ObjectMeta", seconds: float) -> None:
    """Wait until the lease is over or expired; raise ``StoreBusyError`` once its holder gives a sign of life."""
    lease = _read(store, newest["path"])
    if lease is not None and lease.is_over:
        return
    clock = f"{PARTIAL_FOLDER}/clock-{secrets.token_hex(8)}"
    store.put(clock, b"")
    now = next(entry["last_modified"] for entry in store.entries(PARTIAL_FOLDER) if entry["path"] == clock)
    store.delete(clock)
    end = time.monotonic() + seconds - (now - newest["last_modified"]).total_seconds()
    while time.monotonic() < end:
        time.sleep(min(1.0, seconds / BEATS / 4))
        current = _newest(store)
        if current is None or (current["path"], current["e_tag"]) != (newest["path"], newest["e_tag"]):
            found = current and _read(store, current["path"])
            if found is not None and found.is_over:
                return
            raise _busy(store, found or lease)


def _newest(store: LeaseStore) -> "ObjectMeta | None":
    return max(store.entries(LEASE_FOLDER), key=lambda entry: entry["path"], default=None)


def _read(store: LeaseStore, path: str) -> _Lease | None:
    """Return a lease; None if it is gone or damaged."""
    try:
        return decode_json(_decoder, store.read_whole(path, _LEASE_BYTES))
    except (FileNotFoundError, SpecError):
        return None


def _encode(lease: _Lease) -> bytes:
    return msgspec.json.encode(lease)


def _busy(store: LeaseStore, lease: _Lease | None) -> StoreBusyError:
    holder = lease.owner if lease is not None else "another process"
    return StoreBusyError(f"{store.url} is being written to by {holder}: wait for it or stop it")
