"""Tars in a bucket: the same survey and the same contents as from a folder, by ranged reads."""

import random
from pathlib import Path

import pytest

from pipeline.archives import EntryKind, find_tars, read_entries, read_folder, survey_tar, tar_request
from pipeline.archives.tar import scan
from shards_spec.storage import LocalStore, open_store
from tests.support.tars import make_tar

FILES = [(f"train/{i // 4:010d}/{i}.jpg", random.Random(i).randbytes(200 * i)) for i in range(40)]


@pytest.mark.slow
def test_pieces_in_a_bucket(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BUFFER_BYTES", 8192)
    data = make_tar(FILES)
    far, near = open_store(f"s3://{bucket}/tars"), LocalStore(tmp_path)
    assert far.reads_at_once > 1
    for number, (start, stop) in enumerate([(0, 40_000), (40_000, 90_001), (90_001, len(data))], 1):
        for store in (far, near):
            store.put(f"part{number}.tar", data[start:stop])
    surveys = []
    for store in (far, near):
        (stream,) = find_tars(store, ["part1.tar", "part2.tar", "part3.tar"])
        ranges = [(start, min(start + 50_000, stream.size)) for start in range(0, stream.size, 50_000)]
        surveys.append(survey_tar(store, stream, ranges))
    assert surveys[0].entries.equals(surveys[1].entries)
    assert surveys[0].sha256 == surveys[1].sha256
    columns = [
        surveys[0].entries.column(name).to_pylist() for name in ("offset", "header_size", "size", "header_crc32")
    ]
    requests = [tar_request(surveys[0].stream, *place) for place in zip(*columns, strict=True)]
    assert dict(read_entries(far, requests)) == {number: content for number, (_, content) in enumerate(FILES)}
    assert read_folder(far).column("kind").to_pylist() == [EntryKind.FILE] * 3
