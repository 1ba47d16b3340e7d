"""How many reads to keep under way: as many as the connection to the store holds, which is measured while reading.

A connection of bandwidth B and latency L holds B x L bytes. With fewer under way, reading waits; with more, they wait
for one another. Neither number is known. But n reads under way that take d seconds each make n / d reads a second, and
the d of few reads tells the latency. So n is set again and again to twice (n / d) times the latency: it doubles while
reads take as long as when few were under way, and stays where they take twice as long.
"""

_GAIN = 2.0
_PROBE_ROUNDS = 64
"""Number of rounds after which the latency is measured again, with few reads under way, because it may have changed."""


class InFlight:
    """The number of reads to keep under way. Not thread-safe.

    Args:
        least: Number to begin with, and minimum.
        most: Maximum.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most)
        self.limit = least
        """Number of reads that may be under way."""
        self.round = 0
        """Index of the round. A read belongs to the round in which it began."""
        self._durations: list[float] = []
        self._latency = float("inf")
        self._before_probe = (least, 0.0)
        """Number and duration of the reads of the round before the latency was last measured."""

    def ended(self, began_in: int, seconds: float) -> None:
        """Count a read that has ended while others were waiting to begin.

        Args:
            began_in: Value of ``round`` when the read began.
            seconds: Duration of the read.
        """
        if began_in != self.round:
            return
        self._durations.append(seconds)
        if len(self._durations) < self.limit:
            return
        # The lower quartile: some of the reads had to open a connection first, and stores have slow moments.
        duration = max(sorted(self._durations)[len(self._durations) // 4], 1e-6)
        self._durations = []
        limit = self.limit
        if self.round and self.round % _PROBE_ROUNDS == 0:
            self._latency = duration
            limit, duration = self._before_probe
        self._latency = min(self._latency, duration)
        self.round += 1
        if self.round % _PROBE_ROUNDS == 0:
            self._before_probe = limit, duration
            self.limit = self._least
        else:
            wanted = round(_GAIN * limit * self._latency / duration)
            self.limit = max(self._least, min(self._most, 2 * limit, wanted))
