"""Small zip archives, and what is read of them."""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

from pipeline.archives import EntryFault, ZipRequest, read_entries, read_zip_directory
from shards_spec.storage import LocalStore

GIB = 1 << 30
ENTRIES = {f"Images_2/{i:07d}_pCount2_cam1_0000001_day.jpg": random.Random(i).randbytes(300 + i) for i in range(20)}


class RecordingStore(LocalStore):
    """A folder that keeps account of what is read, and may change what a read gives."""

    def __init__(
        self, root: Path, change: Callable[[int, bytes], bytes] = lambda _, data: data, reads_at_once: int = 1
    ) -> None:
        super().__init__(root)
        self.reads: list[tuple[str, int, int]] = []
        self.expected: list[tuple[str, int, int]] = []
        self.change = change
        self.reads_at_once = reads_at_once

    def prefetch(self, path: str, start: int, stop: int) -> None:
        self.expected.append((path, start, stop))

    def read(self, path: str, start: int, stop: int) -> bytes:
        self.reads.append((path, start, stop))
        return self.change(len(self.reads), super().read(path, start, stop))


def write_zip(file: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def requests_of(folder: Path, path: str = "a.zip") -> list[ZipRequest]:
    rows = read_zip_directory(LocalStore(folder), path).entries.drop_columns("flags").to_pylist()
    return [ZipRequest(path, **row) for row in rows]


def read_all(folder: Path, requests: list[ZipRequest]) -> dict[int, bytes | EntryFault]:
    found = list(read_entries(LocalStore(folder), requests))
    assert len(found) == len(requests)
    return dict(found)


def one_fault(folder: Path, request: ZipRequest) -> EntryFault:
    fault = read_all(folder, [request])[0]
    assert isinstance(fault, EntryFault)
    assert fault.detail
    return fault


def patch(file: Path, offset: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)
