"""Memory that is used again, because the system takes longer to hand out and take back pages than to fill them."""

import mmap

_MOST_PIECES = 128
"""Number of pieces that are kept. With more, finding one would take as long as a fresh one."""


class FreeMemory:
    """Keeps the memory of what is no longer needed for what comes next. Threads may share it.

    There is no lock, because a process that is forked while another thread holds it could never take it: each step on
    the list is atomic. Nor is the memory from a heap, because the heaps of many threads would keep all that they have
    once had.

    Args:
        most: Maximum number of bytes to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: list[mmap.mmap] = []

    def take(self, size: int) -> mmap.mmap:
        """Return memory of at least ``size`` bytes, and of at most a quarter more or a page."""
        step = max(mmap.PAGESIZE, 1 << max(size.bit_length() - 3, 0))
        size = -(-size // step) * step
        for memory in self._free.copy():
            if len(memory) == size:
                try:
                    self._free.remove(memory)
                except ValueError:  # another thread has taken it
                    continue
                return memory
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give(self, memory: mmap.mmap) -> None:
        """Take memory back. The caller must not use it again."""
        kept = self._free.copy()
        if len(kept) < _MOST_PIECES and sum(map(len, kept)) + len(memory) <= self._most:
            self._free.append(memory)
