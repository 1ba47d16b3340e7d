"""A folder as a store: plain files, published by rename."""

import contextlib
import fcntl
import functools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shards_spec.storage.base import PARTIAL_FOLDER, FileInfo, StoreBusyError, check_path

LOCK_FILE = ".work/lock"

_EXPECTED_BYTES = 128 * 1024
"""Asked for at a time: of more, Linux reads ahead no more than the device's ``read_ahead_kb``, by default as much."""


class LocalStore:
    """Files below a folder. See ``Store`` for what the methods promise.

    Files are written in ``PARTIAL_FOLDER``, below the same root as where they get their names by an atomic renaming.
    """

    reads_at_once = 1

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).absolute()
        self.url = str(self._root)

    def _path(self, path: str) -> Path:
        return _locate(self.url, path)

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        return self._path(path).stat().st_size

    def read(self, path: str, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop`` of a file; raises ``EOFError`` where it ends before ``stop``."""
        pieces = []
        with self._opened(path) as descriptor:
            position = start
            while position < stop:  # one call reads at most 2 GiB, and less on a signal
                piece = os.pread(descriptor, stop - position, position)
                if not piece:
                    raise self._ended(path, position, start, stop)
                pieces.append(piece)
                position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, path: str, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with a file's bytes from ``start`` on; raises ``EOFError`` where it ends before."""
        with self._opened(path) as descriptor:
            done = 0
            while done < len(buffer):
                count = os.preadv(descriptor, [buffer[done:]], start + done)
                if not count:
                    raise self._ended(path, start + done, start, start + len(buffer))
                done += count

    def expect(self, path: str, start: int, stop: int) -> None:
        """Have the system read these bytes into its cache; where it does not, or they are not there, reading shows."""
        with contextlib.suppress(OSError), self._opened(path) as descriptor:
            for begin in range(start, stop, _EXPECTED_BYTES):
                os.posix_fadvise(descriptor, begin, min(_EXPECTED_BYTES, stop - begin), os.POSIX_FADV_WILLNEED)

    def read_whole(self, path: str) -> bytes:
        """All bytes of a file."""
        return self._path(path).read_bytes()

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """The files below ``folder``, at any depth, sorted by path; none where there is no such folder."""
        top = self._path(folder) if folder else self._root
        found = []
        for parent, _, names in os.walk(top, onerror=_raise_unless_missing):
            for name in names:
                file = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile, or a dangling link
                    found.append(FileInfo(file.relative_to(self._root).as_posix(), file.stat().st_size))
        yield from sorted(found, key=lambda info: info.path)

    def list_top(self) -> Iterator[FileInfo]:
        """The files that lie in no folder, sorted by path; what lies below folders is not looked at."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if not entry.is_dir():
                        found.append(FileInfo(entry.name, entry.stat().st_size))
        yield from sorted(found, key=lambda info: info.path)

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[BinaryIO]:
        """A writer whose file appears under ``path`` when the block ends, and not at all when it raises."""
        with self._partial(path) as (partial, file):
            yield file
            _flush(file)
            partial.replace(self._target(path))
        _sync_folder(self._path(path).parent)

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing what was there."""
        with self.open_write(path) as file:
            file.write(data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a whole file only where there is none; returns whether this call made it."""
        with self._partial(path) as (partial, file):
            file.write(data)
            _flush(file)
            target = self._target(path)
            try:
                os.link(partial, target)  # unlike a rename, a link never replaces what is there
            except FileExistsError:
                return False
        _sync_folder(target.parent)
        return True

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no error."""
        self._path(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """Own the store as its one writer while the block runs; ends with the process, however that ends."""
        target = self._target(LOCK_FILE)
        # Not inherited by child processes: a worker that outlives a killed driver must not hold the lock for it.
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _owner(descriptor)
                raise StoreBusyError(f"{self._root} is being written to by {holder}: wait for it or stop it") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, owner.encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> str | None:
        """Who holds the store now, as they call themselves; None where nobody does. Changes nothing."""
        try:
            descriptor = os.open(self._path(LOCK_FILE), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # that it is held shows by not getting it
        except BlockingIOError:
            return _owner(descriptor)
        finally:
            os.close(descriptor)
        return None

    def sweep(self) -> int:
        """Remove what interrupted writes left behind; returns how many pieces. For its one writer to call."""
        leftovers = list(self.list(PARTIAL_FOLDER))
        for leftover in leftovers:
            self.delete(leftover.path)
        return len(leftovers)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        descriptor = os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _ended(self, path: str, end: int, start: int, stop: int) -> EOFError:
        return EOFError(f"{self._path(path)}: ends at byte {end}, but bytes {start} to {stop} were asked for")

    def _target(self, path: str) -> Path:
        target = self._path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @contextlib.contextmanager
    def _partial(self, path: str) -> Iterator[tuple[Path, BinaryIO]]:
        folder = self._root / PARTIAL_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{check_path(path).replace('/', '+')}.{secrets.token_hex(4)}"
        try:
            with partial.open("xb") as file:
                yield partial, file
        finally:
            partial.unlink(missing_ok=True)


@functools.lru_cache(1024)
def _locate(root: str, path: str) -> Path:
    """A file below a folder. Kept, because a reader opens few files often, and this takes longer than opening one."""
    return Path(root, check_path(path))


def _owner(descriptor: int) -> str:
    """Who took the lock, as they call themselves."""
    return os.pread(descriptor, 1024, 0).decode(errors="replace").strip() or "another process"


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
