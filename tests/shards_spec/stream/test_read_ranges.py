"""What is read holds every sample, and little else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.stream.index_format import index_row
from shards_spec.stream.ranges import RANGE_BYTES, plan_ranges, sample_extents

_SIZES = st.one_of(st.integers(0, 2000), st.integers(0, 3 * RANGE_BYTES))

_SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 4 * RANGE_BYTES), _SIZES, st.integers(512, 1023), _SIZES, st.booleans()
    ),
    min_size=1,
    max_size=40,
)
"""Shard, offset, size of the first member, what lies between, size of the second, whether the image comes first."""


@given(_SAMPLES)
def test_every_sample_lies_in_its_range(samples: list[tuple[int, int, int, int, int, bool]]) -> None:
    """Also where they overlap, repeat or stand in any order, as in an index that a stranger made."""
    records = np.zeros(len(samples), index_row(("jpg", "json"), ("identity",)))
    shards = np.asarray([sample[0] for sample in samples])
    for record, (_, offset, first_size, between, second_size, image_first) in zip(records, samples, strict=True):
        first, second = ("jpg", "json") if image_first else ("json", "jpg")
        record[f"{first}_offset"], record[f"{first}_size"] = offset, first_size
        record[f"{second}_offset"], record[f"{second}_size"] = offset + first_size + between, second_size
    plan = plan_ranges(records, shards)
    starts, stops = sample_extents(records)
    longest = int((stops - starts).max())
    assert plan.places == [0, *np.cumsum([one.stop - one.start for one in plan.ranges]).tolist()]
    assert plan.bytes == plan.places[-1]
    assert set(plan.numbers.tolist()) == set(range(len(plan.ranges)))
    assert all(0 < one.stop - one.start <= RANGE_BYTES + longest for one in plan.ranges)
    assert plan.bytes <= 2 * int((stops - starts).sum()) + 1024 * len(samples)
    for place, number in enumerate(plan.numbers.tolist()):
        one = plan.ranges[number]
        assert one.shard == shards[place]
        assert one.start <= starts[place] <= stops[place] <= one.stop
        assert plan.places[number] <= starts[place] + plan.shifts[place]
        assert stops[place] + plan.shifts[place] <= plan.places[number + 1]


def test_neighbours_are_read_together() -> None:
    records = np.zeros(1000, index_row(("jpg", "json"), ("identity",)))
    offsets = 512 + np.arange(1000) * 6144
    records["jpg_offset"], records["jpg_size"] = offsets, 4000
    records["json_offset"], records["json_size"] = offsets + 4608, 300
    order = np.random.default_rng(0).permutation(1000)
    plan = plan_ranges(records[order], np.zeros(1000, np.int64))
    assert len(plan.ranges) == -(-plan.bytes // RANGE_BYTES)
    every_tenth = plan_ranges(records[::10], np.zeros(100, np.int64))
    assert len(every_tenth.ranges) == 100
    assert every_tenth.bytes == 100 * 4908
