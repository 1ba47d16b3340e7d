import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.storage import LocalStore, RangeFile, file_sha256, ranges

DATA = bytes(range(256)) * 5


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    store.put("file", DATA)
    return store


@given(st.lists(st.tuples(st.integers(-1, 2000), st.integers(0, 1500), st.sampled_from([0, 1, 2]))))
def test_it_reads_as_a_file_does(store: LocalStore, moves: list[tuple[int, int, int]]) -> None:
    for ours in (RangeFile(store, "file"), io.BufferedReader(RangeFile(store, "file"), 100)):
        theirs = io.BytesIO(DATA)
        for size, offset, whence in moves:
            assert ours.read(size) == theirs.read(size)
            assert ours.tell() == theirs.tell()
            assert ours.seek(offset, whence) == theirs.seek(offset, whence)


def test_a_digest_over_many_blocks(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 100)
    assert file_sha256(store, "file") == hashlib.sha256(DATA).hexdigest()
