"""The rows of all indexes taken together."""

from pathlib import Path

import pytest

from shards_spec.manifest_read import read_manifest
from shards_spec.storage import LocalStore
from shards_spec.variants import variant_of
from shards_spec.verify.index import SetRows, gather_index


def test_keys_that_seem_to_come_twice_are_not_passed_over_because_they_cannot_be_read_again(
    set_folder: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(LocalStore(set_folder))
    cell = min(manifest.cells.values(), key=lambda cell: cell.samples)
    store = LocalStore(tmp_path)
    store.put(cell.index.file, (set_folder / cell.index.file).read_bytes())
    rows = SetRows(store, variant_of(manifest))
    sizes = {shard.file: shard.bytes for shard in cell.shards}
    for _ in range(2):
        assert gather_index(store, cell, list(manifest.protocols), sizes, rows)
    assert rows.keys.repeated()
    store.delete(cell.index.file)
    with pytest.raises(FileNotFoundError):
        rows.keys.repeated()
