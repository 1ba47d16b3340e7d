from pathlib import Path

import pytest

from tests.fuzz.run import build, fuzz

SECONDS = 15


@pytest.mark.slow
def test_the_core_stands_hostile_input_under_sanitizers(tmp_path: Path) -> None:
    try:
        build(tmp_path)
    except OSError as error:
        pytest.skip(str(error))
    result = fuzz(SECONDS, tmp_path / "corpus")
    assert result.returncode == 0, result.stdout[-4000:]
