import random
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards import spool as spool_module
from pipeline.shards.spool import Spool


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4)), st.integers(1, 200), st.randoms()
)
def test_ranges_are_read_in_any_order_whether_they_lie_in_memory_or_in_the_file(
    pieces: list[list[bytes]], room: int, generator: random.Random
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryFile() as file:
        patch.setattr(spool_module, "SPOOL_BYTES", room)
        spool = Spool(file)
        for piece in pieces:
            spool.write(b"".join(piece))
        ranges = [part for piece in pieces for part in piece]
        sizes = np.array([len(part) for part in ranges], np.int64)
        order = np.random.default_rng(generator.randrange(2**32)).permutation(len(ranges))
        found = [bytes(part) for part in spool.read((np.cumsum(sizes) - sizes)[order], sizes[order])]
        assert found == [ranges[place] for place in order]
        assert file.tell() >= sum(sizes) - room
