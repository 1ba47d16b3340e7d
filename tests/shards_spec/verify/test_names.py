"""Names that are kept as hashes are found to come twice, or to occur, exactly where strings would be."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.verify import names
from shards_spec.verify.names import Names, hash_names

texts = st.lists(st.lists(st.text("ab\0é", max_size=18), max_size=6), max_size=4)


def gathered(arrays: list[list[str]]) -> Names:
    found = Names(lambda: (pa.array(some, pa.string()) for some in arrays))
    for some in arrays:
        found.add(pa.array(some, pa.string()))
    return found


@given(texts, st.sets(st.text("ab\0é", max_size=18)))
def test_names_are_told_as_strings_would_be(arrays: list[list[str]], wanted: set[str]) -> None:
    counts = Counter(name for some in arrays for name in some)
    assert gathered(arrays).repeated() == sorted(name for name, times in counts.items() if times > 1)
    assert gathered(arrays).present(wanted) == wanted & set(counts)


@given(texts, st.sets(st.text("ab", max_size=3)))
def test_names_with_the_same_hash_are_compared_as_strings(arrays: list[list[str]], wanted: set[str]) -> None:
    counts = Counter(name for some in arrays for name in some)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "hash_names", lambda some, _: np.zeros(len(some), np.uint64))
        assert gathered(arrays).repeated() == sorted(name for name, times in counts.items() if times > 1)
        assert gathered(arrays).present(wanted) == wanted & set(counts)


def test_no_two_of_many_names_have_the_same_hash_and_none_is_hashed_alike_twice() -> None:
    many = pa.array([f"0000{number % 90:06d}_{number:06d}" for number in range(100_000)], pa.string())
    hashes = hash_names(many, np.uint64(1))
    assert len(np.unique(hashes)) == len(many)
    assert not np.any(hashes == hash_names(many, np.uint64(2)))
    assert abs(float(np.mean(hashes >> np.uint64(63))) - 0.5) < 0.01


def test_no_more_names_are_told_than_anybody_reads() -> None:
    twice = [f"{number:04d}" for number in range(1000)]
    assert len(gathered([twice, twice]).repeated()) == names.MOST_TOLD


def test_a_long_name_that_is_looked_for_takes_no_memory_for_all_others() -> None:
    wanted = {"x" * 100_000, *map(str, range(2000))}
    before = pa.default_memory_pool().max_memory()
    assert gathered([["1", "a"]]).present(wanted) == {"1"}
    assert pa.default_memory_pool().max_memory() - before < 100_000_000
