"""Listed paths are matched with entries as a dictionary would do it, whatever is compared at once."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.matching import Paths, match_paths

paths = st.lists(
    st.tuples(st.sampled_from(["", "a/", "a/b/", "1/", "11/"]), st.sampled_from(["1", "1/x", "x", "é", "11"]))
)


def columns(rows: list[tuple[str, str]]) -> Paths:
    folders = pa.array([folder for folder, _ in rows], pa.large_string()).dictionary_encode()
    return Paths(folders, pa.array([name for _, name in rows], pa.large_string()))


@given(paths, paths, st.integers(1, 8))
def test_equal_paths_are_found(entries: list[tuple[str, str]], lines: list[tuple[str, str]], at_once: int) -> None:
    matches = match_paths(columns(entries), columns(lines), at_once)
    assert matches.first_entry.tolist() == [entries.index(entry) for entry in entries]
    assert matches.first_line.tolist() == [lines.index(line) for line in lines]
    assert matches.entry_of_line.tolist() == [entries.index(line) if line in entries else -1 for line in lines]
