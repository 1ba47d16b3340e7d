"""The same input gives the same bytes as ever. Who changes a digest here changes the format or the pixels: say why."""

import json

import pytest

from tests.golden.digests import PINNED, digests_of

GOLDEN = json.loads(PINNED.read_text())


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_small_source_gives_the_bytes_that_it_always_gave(kind: str) -> None:
    assert digests_of(kind) == GOLDEN[kind]
