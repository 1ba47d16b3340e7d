"""Whole numbers as callers give them, NumPy's among them."""

import contextlib
import operator
from typing import SupportsIndex

from shards_spec.errors import UsageError


def whole_number(name: str, value: SupportsIndex) -> int:
    """An option's value as Python's own integer: states and worker processes know no other.

    Raises:
        UsageError: It is no integer, or a truth value, which Python would take for 0 or 1.
    """
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise UsageError(f"{name}={value!r}: it must be a whole number")
