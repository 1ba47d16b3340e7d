"""Samples written as parts of a tar by the compiled module, against ``TarWriter``."""

import io
import tarfile

import numpy as np
import pytest

from pipeline.shards._core import write_samples
from tests.fuzz.samples import fuzz

SECONDS = 1
PLACES = np.empty((2, 2), np.int64)


def test_what_is_written_is_what_the_tar_writer_writes_and_nothing_beyond_under_sanitizers() -> None:
    try:
        result = fuzz(SECONDS)
    except OSError as error:
        pytest.skip(str(error))
    assert result.returncode == 0, result.stdout[-4000:]


def test_the_standard_library_reads_what_is_written() -> None:
    out = bytearray(4 * 512 + 1024)
    assert write_samples(["a"], [("jpg", "json")], [(b"x" * 512, b"{}")], PLACES, memoryview(out)[:2048]) == 2048
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert [(info.name, info.size, info.mode, info.mtime) for info in tar] == [
            ("a.jpg", 512, 0o644, 0),
            ("a.json", 2, 0o644, 0),
        ]
    assert PLACES.tolist() == [[512, 512], [1536, 2]]
    assert out[512:1024] == b"x" * 512
    assert out[1536:1539] == b"{}\0"


@pytest.mark.parametrize(
    ("key", "extensions", "files", "message"),
    [
        ("k" * 97, ("jpg",), (b"",), r"too long"),
        ("ä", ("jpg",), (b"",), r"'ä'\.jpg with 0 bytes is no file that fits"),
        ("k", ("jpg",), (b"", b""), r"k has 2 files, but the extensions of 1"),
        ("k", ("jpg", "json"), (b"", b""), r"2 files and 1 places"),
    ],
)
def test_what_does_not_fit_is_refused(
    key: str, extensions: tuple[str, ...], files: tuple[bytes, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_samples([key], [extensions], [files], PLACES[:1], memoryview(bytearray(4096)))
