"""Names of which a set has tens of millions: which come twice, and which of some occur, without keeping them all."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.index_read import LONGEST_STRING
from shards_spec.shuffle_hash import mix

MOST_TOLD = 100
"""Most names that are told of those that come twice."""

_AT_ONCE = 1 << 14
_WORD = 8

_Hashes = npt.NDArray[np.uint64]


class Names:
    """Names, kept as hashes of 64 bits.

    Where two hashes are equal, the names are read again and compared as strings. The hashes depend on a secret of this
    object, so that nobody can prepare names whose hashes are equal.

    Args:
        read_again: Yields the arrays of strings that were added, once more.
    """

    def __init__(self, read_again: Callable[[], Iterable[pa.Array]]) -> None:
        self._read_again = read_again
        self._secret = np.uint64(int.from_bytes(os.urandom(_WORD), "little"))
        self._hashes: list[_Hashes] = []
        self._are_sorted = False

    def add(self, names: pa.Array) -> None:
        """Add an array of strings, none of which is null."""
        self._hashes.append(hash_names(names, self._secret))
        self._are_sorted = False

    def repeated(self) -> list[str]:
        """Return the names that were added more than once, sorted: at most ``MOST_TOLD`` of them."""
        hashes = self._sorted()
        twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        counts = Counter(self._with_hashes(twice[:MOST_TOLD]))
        return sorted(name for name, times in counts.items() if times > 1)

    def present(self, names: set[str]) -> set[str]:
        """Return which of ``names`` were added."""
        # All are padded to the longest one, and no string of an index is longer than this.
        names = {name for name in names if len(name) <= LONGEST_STRING}
        wanted = np.unique(hash_names(pa.array(sorted(names), pa.string()), self._secret))
        return names.intersection(self._with_hashes(wanted[_are_in(wanted, self._sorted())]))

    def _sorted(self) -> _Hashes:
        if not self._are_sorted:
            hashes = np.concatenate([np.empty(0, np.uint64), *self._hashes])
            hashes.sort()
            self._hashes, self._are_sorted = [hashes], True
        return self._hashes[0]

    def _with_hashes(self, wanted: _Hashes) -> Iterator[str]:
        """Yield the names whose hashes are among ``wanted``, which is sorted, each as often as it was added."""
        for names in self._read_again() if len(wanted) else ():
            yield from names.filter(pa.array(_are_in(hash_names(names, self._secret), wanted))).to_pylist()


def hash_names(names: pa.Array, secret: np.uint64) -> _Hashes:
    """Return a hash of each string.

    Args:
        names: Strings, ``[n]``, none of them null.
        secret: What the hashes depend on besides.
    """
    parts = [_hash_some(names.slice(start, _AT_ONCE), secret) for start in range(0, len(names), _AT_ONCE)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _hash_some(names: pa.Array, secret: np.uint64) -> _Hashes:
    lengths = pc.binary_length(names).to_numpy().astype(np.uint64)
    width = (int(lengths.max(initial=0)) // _WORD + 1) * _WORD
    # Padded to whole words, all strings have the same length, and are a table of words.
    padded = pc.ascii_rpad(names.cast(pa.large_string()), width, padding="\0")
    values = memoryview(padded.buffers()[2])[: width * len(names)]
    words = np.frombuffer(values, "<u8").reshape(len(names), -1)
    hashes = mix(lengths ^ secret)
    for place, column in enumerate(words.T):
        # A hash must not depend on how far its string was padded.
        hashes = np.where(lengths > np.uint64(_WORD * place), mix(hashes ^ column), hashes)
    return hashes


def _are_in(hashes: _Hashes, among: _Hashes) -> npt.NDArray[np.bool_]:
    """Return which hashes are in a sorted array."""
    places = np.searchsorted(among, hashes)
    is_equal: npt.NDArray[np.bool_] = np.append(among, np.uint64(0))[places] == hashes
    return is_equal & (places < len(among))
