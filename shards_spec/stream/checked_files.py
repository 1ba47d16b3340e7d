"""Files in the cache on this machine that are used only if their content is what was written.

A disk, a full quota or a stray command can change them. Reading gigabytes in each of many processes only to check them
would take long. Once a file's content has been found right, its inode, size and times are therefore noted for all
processes, until the machine is restarted.
"""

import contextlib
import functools
import mmap
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from zlib_ng.zlib_ng import crc32

from shards_spec.errors import ReidShardsError

NOTES_SUFFIX = ".checked"
"""Suffix of the file of notes, which is named after the machine's boot. Cleanup removes it after a day."""

_SETTLED_NS = 50_000_000
"""A file that changed less than this long ago can change again without a new time, so that nothing is noted yet."""

_Stamp = tuple[int, int, int, int]
_Data = mmap.mmap | bytes


class DamagedError(ReidShardsError):
    """A file's content is not what was written."""


class FileSum(msgspec.Struct, frozen=True, array_like=True):
    """Size and checksum of a file."""

    bytes: int
    crc32: int

    @classmethod
    def of(cls, data: _Data) -> "FileSum":
        """Return the size and checksum of some content."""
        return cls(len(data), crc32(data))

    def matches(self, data: _Data) -> bool:
        """Return whether some content has this size and checksum."""
        return len(data) == self.bytes and crc32(data) == self.crc32


def map_checked(path: Path, is_right: Callable[[_Data], bool]) -> _Data:
    """Map a file's content into memory.

    Args:
        path: Path of the file.
        is_right: Function that says whether the content is what was written. It is not called if that was noted before.

    Raises:
        DamagedError: It is not a regular file, or its content is not right.
        OSError: It cannot be opened.
    """
    data, status = _map(path)
    stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if _read_notes(path.parent).get(path.name) != stamp:
        if not is_right(data):
            raise DamagedError(f"{path.name} is not as it was written")
        _note(path, stamp)
    return data


def read_small(path: Path) -> bytes:
    """Return all bytes of a small file, for the caller to check.

    Raises:
        DamagedError: It is not a regular file.
        OSError: It cannot be opened.
    """
    return bytes(_map(path)[0])


def sum_file(path: Path) -> FileSum:
    """Return the size and checksum of a file that was just written."""
    return FileSum.of(_map(path)[0])


def seal(text: bytes, name: str) -> bytes:
    """Return a small file's content with a checksum of it and of its owner's name."""
    return b"%08x\n" % crc32(name.encode() + text) + text


def unseal(data: bytes, name: str) -> bytes:
    """Return the content that was passed to ``seal``.

    Raises:
        DamagedError: The checksum is wrong.
    """
    text = data[9:]
    if seal(text, name) != data:
        raise DamagedError("a checksum is wrong")
    return text


def _map(path: Path) -> tuple[_Data, os.stat_result]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe would wait for a writer
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedError(f"{path.name} is no regular file")
        return (mmap.mmap(descriptor, status.st_size, prot=mmap.PROT_READ) if status.st_size else b""), status
    finally:
        os.close(descriptor)


def _notes_file(folder: Path) -> Path | None:
    boot = _boot()
    return None if boot is None else folder / f"{boot}{NOTES_SUFFIX}"


def _read_notes(folder: Path) -> dict[str, _Stamp]:
    """Return the stamps of the files of a folder whose content was found right, by name."""
    file = _notes_file(folder)
    if file is not None:
        with contextlib.suppress(OSError, DamagedError):
            return msgspec.json.decode(unseal(read_small(file), folder.name), type=dict[str, _Stamp])
    return {}


def _note(path: Path, stamp: _Stamp) -> None:
    """Note that a file's content is right. If that cannot be written, it is checked again each time."""
    file = _notes_file(path.parent)
    if file is None or max(stamp[2:]) > time.time_ns() - _SETTLED_NS:
        return
    text = msgspec.json.encode(_read_notes(path.parent) | {path.name: stamp})
    partial = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        try:
            partial.write_bytes(seal(text, path.parent.name))
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


@functools.cache
def _boot() -> str | None:
    """Return Linux's id of this boot as 32 hexadecimal digits; None on other systems."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    except OSError:
        return None
