"""What the tests of the package that writes shards share."""

from collections.abc import Iterator
from functools import lru_cache

import pytest

from pipeline.demo.scene import render_background


@pytest.fixture(scope="session", autouse=True)
def streets_drawn_once() -> Iterator[None]:
    """Keep empty streets from one demo to the next in this process; workers draw their own."""
    kept = lru_cache(maxsize=16)(render_background)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("city1m.backgrounds", "sysu30k.make"):
            patch.setattr(f"pipeline.demo.{module}.render_background", kept)
        yield
