"""What any object store must stand."""

import random

from shards_spec.storage import FileInfo, Store
from shards_spec.storage.object import PART_BYTES


def write_and_read(store: Store, seed: int) -> list[FileInfo]:
    """Write an upload of several parts and some small files, and check that they come back whole; returns them all."""
    generator = random.Random(seed)
    small, large = generator.randbytes(1000), generator.randbytes(2 * PART_BYTES + 999)
    with store.open_write("large") as file:
        file.write(large)
    for number in range(5):
        store.put(f"small/{number}", small)
    assert store.read_whole("large") == large
    for start in range(0, len(large), 1 << 20):
        stop = min(start + (1 << 20), len(large))
        assert store.read("large", start, stop) == large[start:stop]
    files = [FileInfo("large", len(large)), *(FileInfo(f"small/{number}", len(small)) for number in range(5))]
    assert list(store.list()) == files
    return files
