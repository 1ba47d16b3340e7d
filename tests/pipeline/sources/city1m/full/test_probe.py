import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from pipeline.archives import ZipRequest, read_zip_directory
from pipeline.sources.city1m.full.probe import probe_frame_size
from shards_spec.storage import LocalStore


def jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def probe(folder: Path, contents: list[bytes], shift: int = 0) -> tuple[int, int] | None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.jpg", content)
    store = LocalStore(folder)
    entries = read_zip_directory(store, "a.zip").entries.to_pylist()
    requests = [
        ZipRequest(archive="a.zip", **{name: entry[name] for name in ZipRequest._fields if name != "archive"})
        for entry in entries
    ]
    return probe_frame_size(store, [request._replace(crc32=request.crc32 ^ shift) for request in requests])


def test_the_most_common_size_is_taken(tmp_path: Path) -> None:
    assert probe(tmp_path, [jpeg(640, 480), jpeg(320, 180), jpeg(320, 180)]) == (320, 180)


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert probe(tmp_path, [b"", b"x" * 1000, jpeg(64, 64)[:30], jpeg(320, 180)]) == (320, 180)


@pytest.mark.parametrize("contents", [[], [b"x"]])
def test_without_a_readable_frame_there_is_no_size(tmp_path: Path, contents: list[bytes]) -> None:
    assert probe(tmp_path, contents) is None


def test_damaged_entries_are_passed_over(tmp_path: Path) -> None:
    assert probe(tmp_path, [jpeg(320, 180)], shift=1) is None


def test_of_equally_common_sizes_the_larger_is_taken(tmp_path: Path) -> None:
    assert probe(tmp_path, [jpeg(320, 180), jpeg(640, 480)]) == (640, 480)
