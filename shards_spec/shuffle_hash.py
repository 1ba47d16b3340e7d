"""Shuffling by a keyed hash: the same key gives the same order on every machine and with every version of NumPy.

A library's generator may change its streams; SplitMix64's finaliser (Steele, Lea and Flood, Fast splittable
pseudorandom number generators, OOPSLA 2014) is three lines that do not.
"""

import hashlib

import numpy as np
import numpy.typing as npt

_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, odd


def keyed_hashes(numbers: npt.NDArray[np.int64], seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """A pseudo-random number for each number; different numbers have different ones.

    Args:
        numbers: ``[n]``, not negative: each thing is known by its number alone, so callers number things by something
            that lasts.
        seed: 0 to 2^63 - 1.
        purpose: What the hashes are for: those for different purposes have nothing to do with each other.
    """
    key = np.frombuffer(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "<u8")[0]
    with np.errstate(over="ignore"):
        return mix(mix(numbers.astype(np.uint64) * _STEP + _STEP) ^ key)


def shuffled_order(count: int, seed: int, purpose: str) -> npt.NDArray[np.int64]:
    """A shuffled order of ``count`` things: ``[count]``, each number below ``count`` once. See ``keyed_hashes``."""
    return np.argsort(keyed_hashes(np.arange(count), seed, purpose), kind="stable")


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser: each bit of the result depends on each bit of the value; no two values give the same."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
