"""Packing samples into a shard."""

import tempfile

import numpy as np
import pytest

from pipeline.samples import Sample
from pipeline.shards.packing import Packer
from pipeline.shards.spool import Spool
from tests.support.variant_sets import SCANS, content, scan


def test_a_sample_with_other_files_than_its_sidecar_says_is_refused() -> None:
    one, other = scan(1), scan(2)
    whole = [content(one, "txt"), content(one, "bin")]
    with tempfile.TemporaryFile() as file, Spool(file) as spool:
        packer = Packer(SCANS, ["p1"], 0, spool)
        # Together they have as many files as two samples should have.
        samples = [Sample("scan1", one, (*whole, b"more")), Sample("scan2", other, (b"one",))]
        with pytest.raises(ValueError, match="scan1 has 4 files, but the extensions of 3"):
            packer.add(np.array([0]), [samples])
