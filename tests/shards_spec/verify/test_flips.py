"""No bit of a set can change unnoticed, whatever file it is in."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards_spec.errors import SpecError
from shards_spec.verify import dataset as verify_dataset
from shards_spec.verify import verify
from shards_spec.verify.shard import check_shard
from tests.support.sets import make_set
from tests.support.source import mini_source

FLIPS = 36
"""Bits that are flipped in each file, at places spread evenly over it; those of the manifest are all looked at by
``test_manifest``."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = mini_source(3, 1)
    source.labels["train_part1.txt"].append("no label line")
    root = tmp_path_factory.mktemp("flips")
    make_set(source.write(root / "source"), root / "set")
    return root / "set"


def flips(data: bytes, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    step = max(1, len(data) // FLIPS)
    for start in range(0, len(data), step):
        changed = bytearray(data)
        changed[min(start + rng.randrange(step), len(data) - 1)] ^= 1 << rng.randrange(8)
        yield bytes(changed)


def files_at_fault(out: Path) -> list[str]:
    try:
        return [fault.file for fault in verify(str(out)).faults]
    except SpecError as error:  # a manifest that cannot be believed
        return ["dataset.json"] if "dataset.json is damaged" in str(error) else [str(error)]


def test_every_flipped_bit_is_found(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        verify_dataset, "_check_shards", lambda checks, *_: [fault for fault in map(check_shard, checks) if fault]
    )
    assert files_at_fault(out) == []
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and ".work" not in path.parts]
    assert {path.suffix for path in files} == {".json", ".jsonl", ".md", ".parquet", ".tar"}
    for seed, path in enumerate(files):
        data = path.read_bytes()
        for changed in flips(data, seed):
            path.write_bytes(changed)
            assert files_at_fault(out) == [path.relative_to(out).as_posix()]
        path.write_bytes(data)
