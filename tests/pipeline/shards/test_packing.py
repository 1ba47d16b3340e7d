"""Packing samples into a shard."""

import io
import tempfile

import pytest

from pipeline.shards.packing import Packer
from pipeline.shards.spool import Spool
from tests.support.variant_sets import SCANS, content, scan


def test_a_sample_with_other_files_than_its_sidecar_says_is_refused() -> None:
    one, other = scan(1), scan(2)
    whole = (content(one, "txt"), content(one, "bin"))
    with tempfile.TemporaryFile() as file, Spool(file) as spool:
        packer = Packer(SCANS, ["p1"], 0, spool)
        # Together they have as many files as two samples should have.
        with pytest.raises(ValueError, match="scan1 has 4 files, but the extensions of 3"):
            packer.add([0, 0], ["scan1", "scan2"], [one, other], [(*whole, b"more"), (b"one",)])


def test_units_are_rows_and_stand_in_their_order() -> None:
    sidecars = [scan(number) for number in range(3)]
    keys = [one.name for one in sidecars]
    files = [(content(one, "txt"), content(one, "bin")) for one in sidecars]
    with tempfile.TemporaryFile() as file, Spool(file) as spool:
        packer = Packer(SCANS, ["p1"], 0, spool)
        packer.add([7, 7], keys[:2], sidecars[:2], files[:2])
        packer.add([], [], [], [])
        packer.add([5], keys[2:], sidecars[2:], files[2:])
        assert (packer.samples, packer.units) == (3, 2)
        tar = io.BytesIO()
        size, rows = packer.write(tar)
    assert size == len(tar.getvalue())
    assert rows["key"].to_pylist() == ["scan2", "scan0", "scan1"]
    assert rows["unit_index"].to_pylist() == [0, 1, 1]
