"""An object store: S3, Google Cloud Storage, Azure, HTTP for reading only, and memory for tests."""

import contextlib
import errno
import functools
import io
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import obstore

from shards_spec.errors import ReidShardsError
from shards_spec.storage.base import PARTIAL_FOLDER, WHOLE_BYTES, FileInfo, FileTooLargeError, check_path
from shards_spec.storage.faults import translated
from shards_spec.storage.lease import LEASE_SECONDS, hold_lease, lease_holder
from shards_spec.storage.location import FIRST_PAUSE_SECONDS, connect, parse_location
from shards_spec.storage.pending import abort_pending_uploads
from shards_spec.storage.prefetch import read_ahead

if TYPE_CHECKING:
    from obstore import ObjectMeta, WritableFile
    from obstore.store import ObjectStore as Client
    from typing_extensions import Buffer

Answer = TypeVar("Answer")

RETRY_SECONDS = 180.0
"""How long a request is retried after transient errors."""

PART_BYTES = 8 * 2**20
"""Size of a part of an upload. S3 takes parts of at least 5 MiB and at most 10,000 of them, so files can have 80 GB."""

PARTS_AT_ONCE = 4
"""Number of parts uploaded at a time. A writer holds these in memory, and the part that is being filled."""

MARK = "upload"
"""Name of the metadata field that tells one upload from another."""


class ObjectStore:
    """Files below a prefix of a bucket. See ``Store`` for what the methods promise.

    Credentials come from the environment (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``). The store's pickle, its ``repr`` and
    its errors contain none. Each process connects by itself when it first uses the store.

    Args:
        url: URL such as ``s3://bucket/prefix?endpoint=https://host``; see ``location.OPTIONS``.
        retry_seconds: How long a request is retried after transient errors.
        lease_seconds: How long the store's owner may give no sign of life before another process can take its place.

    Raises:
        UsageError: The URL is not valid, or contains what may be a secret.
    """

    reads_at_once = 8

    def __init__(self, url: str, *, retry_seconds: float = RETRY_SECONDS, lease_seconds: float = LEASE_SECONDS) -> None:
        self._location = parse_location(url)
        self.url = url.rstrip("/")
        self._retry_seconds = retry_seconds
        self._lease_seconds = lease_seconds
        self._connection: Client | None = None

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(ObjectStore, retry_seconds=self._retry_seconds, lease_seconds=self._lease_seconds)
        return make, (self.url,)

    @property
    def _client(self) -> "Client":
        _check_process(self.url)
        if self._connection is None:  # if two threads connect, one of the connections is dropped
            self._connection = connect(self._location, self._retry_seconds)
        return self._connection

    def _where(self, path: str) -> str:
        """Return a file's name for messages, with its server if the URL does not name it."""
        endpoint = self._location.endpoint if self._location.scheme == "s3" else None
        return f"{self._location.base}/{path}" + (f" at {endpoint}" if endpoint else "")

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        client = self._client
        with translated(self._where(check_path(path))):
            return obstore.head(client, path)["size"]

    def version(self, path: str) -> str:
        """Return an object's ETag, or where the store has none, the time of its last change."""
        client = self._client
        with translated(self._where(check_path(path))):
            found = obstore.head(client, path)
        return found["e_tag"] or found["last_modified"].isoformat()

    def read(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` - 1 of a file; raise ``EOFError`` if it ends before ``stop``."""
        return bytes(self._range(path, start, stop))

    def read_into(self, path: str, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes of a file from ``start`` on; raise ``EOFError`` if it ends before that."""
        buffer[:] = self._range(path, start, start + len(buffer))

    def _range(self, path: str, start: int, stop: int) -> memoryview:
        check_path(path)
        if start == stop:
            return memoryview(b"")
        client, where = self._client, self._where(path)
        try:
            with translated(where):
                data = memoryview(obstore.get_range(client, path, start=start, end=stop))
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            raise EOFError(f"{where}: ends before byte {start}, but bytes {start} to {stop} were asked for") from None
        if len(data) > stop - start:
            raise OSError(errno.EIO, f"the server sent {len(data)} bytes where {stop - start} were asked for", where)
        if len(data) < stop - start:
            raise EOFError(f"{where}: ends at byte {start + len(data)}, but bytes {start} to {stop} were asked for")
        return data

    def read_files(self, paths: Sequence[str], sizes: Sequence[int]) -> list[bytes]:
        """Return the first bytes of each of many files, some of which are read at the same time."""
        wanted = zip(paths, sizes, strict=True)
        return [*read_ahead(lambda one: self.read(one[0], 0, one[1]), wanted, self.reads_at_once)]

    def prefetch(self, path: str, start: int, stop: int) -> None:
        """Do nothing: over a network, only a request reads."""

    def read_whole(self, path: str, limit: int = WHOLE_BYTES) -> bytes:
        """Return all bytes of a file; raise ``FileTooLargeError`` if it has more than ``limit``."""
        client, where = self._client, self._where(check_path(path))
        with translated(where):
            answer = obstore.get(client, path)
        if answer.meta["size"] > limit:
            raise FileTooLargeError(where, answer.meta["size"], limit)
        with translated(where):
            data = bytes(answer.bytes())
        if len(data) != answer.meta["size"]:
            raise EOFError(f"{where}: is {answer.meta['size']} bytes, but only {len(data)} came")
        return data

    def entries(self, folder: str = "") -> list["ObjectMeta"]:
        """Return the files below ``folder``, unsorted, with entity tags and modification times by the store's clock."""
        client = self._client
        if folder:
            check_path(folder)
        listed: Sequence[ObjectMeta] = self._insist(lambda: obstore.list(client, folder or None).collect(), folder)
        return [
            entry for entry in listed if entry["path"] not in {"", folder}
        ]  # these entries stand for the folder itself

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """Yield the files below ``folder``, at any depth, sorted by path; nothing if the folder does not exist."""
        yield from _files(self.entries(folder))

    def list_top(self, folder: str = "") -> Iterator[FileInfo]:
        """Yield the files directly in ``folder``, sorted by path, without looking into the folders there."""
        yield from _files(self._list_one(folder)["objects"])

    def folders(self, folder: str = "") -> Iterator[str]:
        """Yield the paths of the folders directly in ``folder``, sorted."""
        yield from sorted(self._list_one(folder)["common_prefixes"])

    def _list_one(self, folder: str) -> Any:
        client, prefix = self._client, f"{folder}/" if folder else None
        return self._insist(lambda: obstore.list_with_delimiter(client, prefix), folder)

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator["_Writer"]:
        """Return a writer. Its file appears under ``path`` when the block ends, and not at all if the block raises.

        A file larger than a part is uploaded in parts while it is written.
        """
        client, where = self._writable(check_path(path)), self._where(path)
        mark = secrets.token_hex(8)
        with translated(where):
            file = obstore.open_writer(
                client,
                path,
                buffer_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
                attributes={MARK: mark},
            )
        try:
            yield _Writer(file, where)
        except BaseException:
            with contextlib.suppress(OSError), translated(where):
                file.__exit__(*sys.exc_info())  # aborts the upload; if that fails, ``sweep`` aborts it later
            raise
        try:
            with translated(where):
                file.close()
        except FileNotFoundError:
            # If the answer to an upload's last request is lost, the repeated request finds no upload.
            with translated(where):
                found = obstore.get(client, path, options={"head": True}).attributes
            if found.get(MARK) != mark:
                raise

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing an existing one."""
        client = self._writable(check_path(path))
        with translated(self._where(path)):
            obstore.put(client, path, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> bool:
        """Write a whole file only if none exists; return whether this call created it."""
        client = self._writable(check_path(path))
        try:
            with translated(self._where(path)):
                obstore.put(client, path, data, use_multipart=False, mode="create")
        except FileExistsError:
            return False
        return True

    def delete(self, path: str) -> None:
        """Remove a file. It is not an error if the file does not exist."""
        client = self._writable(check_path(path))
        with contextlib.suppress(FileNotFoundError):
            self._insist(lambda: obstore.delete(client, path), path)

    def hold(self, owner: str) -> contextlib.AbstractContextManager[None]:
        """Own the store as its only writer while the block runs; see ``lease``."""
        # A request, with its retries, may take a quarter of the lease's time, so that answers come before it expires.
        quick = ObjectStore(self.url, retry_seconds=self._lease_seconds / 4)
        return hold_lease(quick, owner, self._lease_seconds)

    def holder(self) -> str | None:
        """Return the current owner's description, or None if nobody holds the store. This changes nothing."""
        return lease_holder(self, self._lease_seconds)

    def sweep(self) -> int:
        """Remove what interrupted writes left behind; return the number of files and pending uploads.

        Only the store's owner may call this. Pending uploads are found only on S3. Azure drops them after a week. For
        Google Cloud Storage, and for buckets whose policy forbids listing uploads, let a lifecycle rule abort
        incomplete uploads.
        """
        leftovers = self.entries(PARTIAL_FOLDER)
        for leftover in leftovers:
            self.delete(leftover["path"])
        if self._location.scheme != "s3":
            return len(leftovers)
        _check_process(self.url)
        with contextlib.suppress(OSError):  # pending uploads only cost storage, which is no reason to stop a run
            return len(leftovers) + abort_pending_uploads(self._location)
        return len(leftovers)

    def _insist(self, request: Callable[[], Answer], path: str) -> Answer:
        """Repeat a request whose answer broke off or stalled. obstore does not do this for listing and deleting."""
        end, pause = time.monotonic() + self._retry_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                with translated(self._where(path)):
                    return request()
            except (ConnectionAbortedError, TimeoutError):
                if time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
            pause *= 2

    def _writable(self, path: str) -> "Client":
        if self._location.scheme.startswith("http"):
            raise PermissionError(errno.EROFS, "read-only: over HTTP nothing is written", self._where(path))
        return self._client


class _Writer(io.RawIOBase):
    """An open file to write to. It is a file object because Arrow requires one."""

    def __init__(self, file: "WritableFile", where: str) -> None:
        self._file = file
        self._where = where

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: "Buffer", /) -> int:
        """Append ``data``. Waits while too many parts are under way."""
        with translated(self._where):
            return self._file.write(data)


def _files(entries: Iterable["ObjectMeta"]) -> list[FileInfo]:
    found = [FileInfo(entry["path"], entry["size"]) for entry in entries if entry["path"]]
    return sorted(found, key=lambda info: info.path)


@functools.cache
def _process_of_first_use() -> int:
    return os.getpid()


def _check_process(url: str) -> None:
    """Raise an error if this process was forked from one that has used obstore: its first request would hang."""
    if _process_of_first_use() != os.getpid():
        raise ReidShardsError(
            f"{url}: this process was forked from one that has used an object store itself, and would hang: start "
            'processes by "spawn", or leave the store alone before forking'
        )
