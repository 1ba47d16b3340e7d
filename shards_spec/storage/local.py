"""A folder as a store: plain files that are published by renaming them."""

import contextlib
import errno
import fcntl
import operator
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from shards_spec.storage.base import (
    PARTIAL_FOLDER,
    WHOLE_BYTES,
    FileInfo,
    FileTooLargeError,
    Kind,
    StoreBusyError,
    check_path,
    check_paths,
)

LOCK_FILE = ".work/lock"

_path_of = operator.attrgetter("path")

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""With ``O_NONBLOCK``, opening a named pipe does not wait for a writer. It has no effect on regular files."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFIFO: Kind.PIPE,
    stat.S_IFSOCK: Kind.SOCKET,
    stat.S_IFCHR: Kind.DEVICE,
    stat.S_IFBLK: Kind.DEVICE,
}

_PREFETCH_BYTES = 128 * 1024
"""Number of bytes announced at a time. Linux reads no more ahead than the device's ``read_ahead_kb``, which is the same
by default."""


class LocalStore:
    """Files below a folder. See ``Store`` for what the methods promise.

    A file is written in ``PARTIAL_FOLDER``, below the same root, and then renamed atomically to its final path.
    """

    reads_at_once = 1

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).absolute()
        self.url = str(self._root)

    def _path(self, path: str) -> Path:
        return Path(_locate(self.url, path))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        file = self._path(path)
        status = file.stat()
        _check_regular(status, str(file))
        return status.st_size

    def version(self, path: str) -> str:
        """Return the time in nanoseconds at which a file was changed."""
        return str(self._path(path).stat().st_mtime_ns)

    def read(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` - 1 of a file; raise ``EOFError`` if it ends before ``stop``."""
        descriptor = os.open(_locate(self.url, path), _FLAGS)
        try:
            # To ask for the end takes a quarter of the time of ``fstat``. Pipes and folders fail here, endless devices
            # have none, and disks, which have one, are no files in any listing.
            if os.lseek(descriptor, 0, os.SEEK_END) >= stop:
                data = os.pread(descriptor, stop - start, start)
                if len(data) == stop - start:
                    return data
        except OSError:
            pass  # happens again below, where it is explained
        finally:
            os.close(descriptor)
        buffer = bytearray(stop - start)  # one call reads at most 2 GiB, and less if a signal arrives
        self.read_into(path, start, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, path: str, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes of a file from ``start`` on; raise ``EOFError`` if it ends before that."""
        with self._opened(path) as descriptor:
            done = 0
            while done < len(buffer):
                count = os.preadv(descriptor, [buffer[done:]], start + done)
                if not count:
                    raise self._ended(path, start + done, start, start + len(buffer))
                done += count

    def read_files(self, paths: Sequence[str], sizes: Sequence[int]) -> list[bytes]:
        """Return the first bytes of each of many files; raise ``EOFError`` if one is shorter."""
        check_paths(paths)
        contents = []
        for path, size in zip(paths, sizes, strict=True):
            descriptor = os.open(_join(self.url, path), _FLAGS)
            try:
                # One byte more than there should be, so that an endless device looks longer than a file. Pipes and
                # folders fail here.
                data = os.pread(descriptor, size + 1, 0)
            except OSError:
                data = b""  # happens again below, where it is explained
            finally:
                os.close(descriptor)
            contents.append(data if len(data) == size else self.read(path, 0, size))
        return contents

    def prefetch(self, path: str, start: int, stop: int) -> None:
        """Let the system read these bytes into its cache. If that fails, reading them will show why."""
        with contextlib.suppress(OSError), self._opened(path) as descriptor:
            for begin in range(start, stop, _PREFETCH_BYTES):
                os.posix_fadvise(descriptor, begin, min(_PREFETCH_BYTES, stop - begin), os.POSIX_FADV_WILLNEED)

    def read_whole(self, path: str, limit: int = WHOLE_BYTES) -> bytes:
        """Return all bytes of a file; raise ``FileTooLargeError`` if it has more than ``limit``."""
        with open(_open_regular(_locate(self.url, path)), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""
            if max(size, len(data)) > limit:  # it may grow in the meantime
                raise FileTooLargeError(str(self._path(path)), max(size, len(data)), limit)
            return data

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """Yield the files below ``folder``, at any depth, sorted by path; nothing if the folder does not exist."""
        files, folders = _scan(self.url, folder)
        if not folders:
            yield from files
            return
        # The path of what is in a folder continues with a slash, so this is where the folder comes among its siblings.
        found = [(info.path, info) for info in files] + [(f"{path}/", None) for path in folders]
        for path, info in sorted(found, key=operator.itemgetter(0)):
            if info is None:
                yield from self.list(path[:-1])
            else:
                yield info

    def list_top(self, folder: str = "") -> Iterator[FileInfo]:
        """Yield the files directly in ``folder``, sorted by path, without looking into the folders there."""
        files, _ = _scan(self.url, folder)
        return (info for info in files if info.kind is not Kind.FOLDER_LINK)

    def folders(self, folder: str = "") -> Iterator[str]:
        """Yield the paths of the folders directly in ``folder``, sorted; none that a link leads to."""
        _, folders = _scan(self.url, folder)
        return iter(folders)

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[BinaryIO]:
        """Return a writer. Its file appears under ``path`` when the block ends, and not at all if the block raises."""
        with self._partial(path) as (partial, file):
            yield file
            _flush(file)
            partial.replace(self._target(path))
        _sync_folder(self._path(path).parent)

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing an existing one."""
        with self.open_write(path) as file:
            file.write(data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a whole file only if none exists; return whether this call created it."""
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
        """Remove a file. It is not an error if the file does not exist."""
        self._path(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """Own the store as its only writer while the block runs. Ownership ends with the process, however it ends."""
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
        """Return the current owner's description, or None if nobody holds the store. This changes nothing."""
        try:
            descriptor = _open_regular(_locate(self.url, LOCK_FILE))
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # failing to get the lock shows that it is held
        except BlockingIOError:
            return _owner(descriptor)
        finally:
            os.close(descriptor)
        return None

    def sweep(self) -> int:
        """Remove what interrupted writes left behind; return the number of files. Only the owner may call this."""
        leftovers = list(self.list(PARTIAL_FOLDER))
        for leftover in leftovers:
            self.delete(leftover.path)
        return len(leftovers)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        descriptor = _open_regular(_locate(self.url, path))
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


def _locate(root: str, path: str) -> str:
    """Return the path of a file."""
    return _join(root, check_path(path))


def _join(root: str, path: str) -> str:
    """Return a path below a root. A string, because making a ``Path`` takes longer than opening the file."""
    return f"{root}{path}" if root == "/" else f"{root}/{path}"


def _open_regular(file: str) -> int:
    """Open a file for reading.

    Raises:
        OSError: The file cannot be opened, or is neither a regular file nor a link to one.
    """
    descriptor = os.open(file, _FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            _check_regular(status, file)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result, file: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
    raise OSError(errno.EINVAL, f"is a {_KINDS[stat.S_IFMT(status.st_mode)]}, not a regular file", file)


def _scan(root: str, folder: str) -> tuple[list[FileInfo], list[str]]:
    """Return the files and the paths of the folders that are directly in a folder, both sorted by path."""
    prefix = f"{folder}/" if folder else ""
    files, folders = [], []
    try:
        descriptor = os.open(_locate(root, folder) if folder else root, _FOLDER_FLAGS)
    except FileNotFoundError:
        return [], []
    try:
        with os.scandir(descriptor) as entries:  # by its descriptor, so that no path is looked up for each entry
            for entry in entries:
                path = prefix + entry.name
                try:
                    if entry.is_file(follow_symlinks=False):
                        files.append(FileInfo(path, entry.stat(follow_symlinks=False).st_size))
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    elif (info := _describe(entry, path)) is not None:
                        files.append(info)
                except FileNotFoundError:  # it was removed in the meantime
                    continue
    finally:
        os.close(descriptor)
    files.sort(key=_path_of)
    folders.sort()
    return files, folders


def _describe(entry: os.DirEntry[str], path: str) -> FileInfo | None:
    """Describe an entry of a folder, unless it has become a folder in the meantime."""
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        return FileInfo(path, status.st_size)
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link:
        try:
            status = entry.stat()
        except OSError:  # its target is missing, not accessible, or the link itself
            return FileInfo(path, 0, Kind.BROKEN_LINK)
    if stat.S_ISDIR(status.st_mode):
        return FileInfo(path, 0, Kind.FOLDER_LINK) if is_link else None
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    return FileInfo(path, status.st_size, Kind.LINK) if kind is Kind.FILE else FileInfo(path, 0, kind)


def _owner(descriptor: int) -> str:
    """Return the description of the process that took the lock."""
    return os.pread(descriptor, 1024, 0).decode(errors="replace").strip() or "another process"


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power failure."""
    descriptor = os.open(folder, _FOLDER_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
