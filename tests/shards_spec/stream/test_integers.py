"""Whole numbers of any kind; nothing that is only nearly one."""

import numpy as np
import pytest

from shards_spec.errors import UsageError
from shards_spec.stream.integers import whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_is_pythons_own(value: int) -> None:
    assert type(whole_number("seed", value)) is int
    assert whole_number("seed", value) == 3


@pytest.mark.parametrize("value", [1.0, 2.5, np.float32(1), "1", None, True, np.True_])
def test_what_is_none_is_refused(value: int) -> None:
    with pytest.raises(UsageError, match=r"seed=.*: it must be a whole number"):
        whole_number("seed", value)
