import random
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards import spool as spool_module
from pipeline.shards.spool import Spool
from shards_spec.tar import BLOCK

PIECES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=8)
"""Pieces that are written together, each of ranges of so many blocks."""


@given(PIECES, st.integers(1, 20), st.integers(1, 9), st.randoms())
def test_ranges_are_read_in_any_order_whether_they_lie_in_memory_or_in_the_file(
    pieces: list[list[int]], room: int, at_once: int, generator: random.Random
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryFile() as file:
        patch.setattr(spool_module, "SPOOL_BYTES", room * BLOCK)
        patch.setattr(spool_module, "READ_BYTES", at_once * BLOCK)
        patch.setattr(spool_module, "_idle", [])
        ranges, starts = [], []
        with Spool(file) as spool:
            for piece in pieces:
                own = [generator.randbytes(blocks * BLOCK) for blocks in piece]

                def fill(out: memoryview, data: bytes = b"".join(own)) -> int:
                    if len(data) <= len(out):
                        out[: len(data)] = data
                    return len(data)

                start = spool.size
                spool.write(fill)
                starts += [start + sum(map(len, own[:place])) for place in range(len(own))]
                ranges += own
            order = np.random.default_rng(generator.randrange(2**32)).permutation(len(ranges))
            sizes = np.array([len(part) for part in ranges], np.int64)
            found = [*map(bytes, spool.read(np.array(starts, np.int64)[order], sizes[order]))]
        assert b"".join(found) == b"".join(ranges[place] for place in order)
        assert all(len(some) <= at_once * BLOCK or some in ranges for some in found)  # a large one comes by itself
        assert file.tell() >= sum(sizes) - room * BLOCK


def test_a_spool_has_the_memory_of_one_that_is_done_with() -> None:
    with tempfile.TemporaryFile() as file, Spool(file) as first:
        first.write(lambda out: len(bytes(out[:BLOCK])))
    with tempfile.TemporaryFile() as file, Spool(file) as second, Spool(file) as third:
        memories = [spool._memory for spool in (first, second, third)]  # noqa: SLF001 - it is not to be seen from outside
    assert memories[0] is memories[1]
    assert memories[1] is not memories[2]
