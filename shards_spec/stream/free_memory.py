"""Memory that is used again, because the system takes longer to hand out and take back pages than to fill them."""

import mmap
import threading
from collections import defaultdict


class FreeMemory:
    """Keeps the memory of what is no longer needed for what comes next. Thread-safe.

    The memory is not from a heap, because the heaps of many threads would keep all that they have once had.

    Args:
        most: Maximum number of bytes to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._free: defaultdict[int, list[mmap.mmap]] = defaultdict(list)
        self._lock = threading.RLock()  # memory may be given back by the garbage collector, which can run in ``take``

    def take(self, size: int) -> mmap.mmap:
        """Return memory of at least ``size`` bytes, and of at most a quarter more or a page."""
        step = max(mmap.PAGESIZE, 1 << max(size.bit_length() - 3, 0))
        size = -(-size // step) * step
        with self._lock:
            if self._free[size]:
                self._bytes -= size
                return self._free[size].pop()
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give(self, memory: mmap.mmap) -> None:
        """Take memory back. The caller must not use it again."""
        with self._lock:
            if self._bytes + len(memory) <= self._most:
                self._bytes += len(memory)
                self._free[len(memory)].append(memory)
