"""Text files are read in blocks of whole lines, whatever their size."""

import hashlib
from pathlib import Path

import pytest

from pipeline.sources import text as text_module
from pipeline.sources.text import read_blocks
from shards_spec.storage import LocalStore


def test_blocks_are_whole_lines_and_all_bytes_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCK_SIZE", 10)
    data = b"\xef\xbb\xbfone\ntwo three four five\n\nsix"
    (tmp_path / "a").write_bytes(data)
    digest = hashlib.sha256()
    blocks = list(read_blocks(LocalStore(tmp_path), "a", len(data), digest))
    assert b"".join(blocks) == data[3:] + b"\n"
    assert all(block.endswith(b"\n") for block in blocks)
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()
