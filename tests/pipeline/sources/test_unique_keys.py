"""Keys that are spelled after paths are found to be unique as counting them would find it."""

from collections import Counter

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.sources.matching import Paths
from pipeline.sources.unique_keys import are_unique
from shards_spec.keys import path_keys

folders = st.sampled_from(["", "a/", "a/b/", "a_b/", "ab/", "a_/", "_/", "0000000001/"])
names = st.sampled_from(["c.jpg", "c.png", "b_c.jpg", "b_c", "c", ".jpg", "..jpg", "c..", "c.d.jpg", "_c.jpg", "."])


@given(st.lists(st.tuples(folders, names), unique=True))
@example([("a/", "b_c.jpg"), ("a_b/", "c.png")])
@example([("a/", "b_c.jpg"), ("a_b/", "c.jpg"), ("ab/", "c.jpg")])
@example([("", "a_b_c.jpg"), ("a/b/", "c.jpg")])
def test_unique_keys_are_those_that_count_once(rows: list[tuple[str, str]]) -> None:
    codes = pa.array([folder for folder, _ in rows], pa.large_string()).dictionary_encode()
    paths = Paths(codes, pa.array([name for _, name in rows], pa.large_string()))
    keys = [path_keys(folder + name)[0] for folder, name in rows]
    counts = Counter(keys)
    assert are_unique(paths).tolist() == [counts[key] == 1 for key in keys]
