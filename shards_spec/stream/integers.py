"""Whole numbers as callers pass them, including NumPy's."""

import contextlib
import operator
from typing import SupportsIndex

from shards_spec.errors import UsageError


def whole_number(name: str, value: SupportsIndex) -> int:
    """Return an option's value as a Python integer, which is the only kind that states and worker processes accept.

    Raises:
        UsageError: The value is not an integer, or it is a bool, which Python would treat as 0 or 1.
    """
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise UsageError(f"{name}={value!r}: it must be a whole number")
