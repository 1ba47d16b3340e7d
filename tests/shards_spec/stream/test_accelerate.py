"""The real accelerate on two processes: what its prepare() must not be given, and what works."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from shards_spec.stream import Dataset
from tests.support.ceph import free_port
from tests.support.processes import WAIT_SECONDS

pytest.importorskip("accelerate", reason="accelerate is not installed")

_RANK = """
import json, sys, warnings
from zlib import crc32
warnings.simplefilter("ignore")
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from torch.utils.data import DataLoader
from shards_spec import open_dataset

def sums(samples):
    return torch.tensor([crc32(sample["__key__"].encode()) for sample in samples])

folder, what, workers, dispatch = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "dispatch"
accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=dispatch))
given = {"rank": 0, "world_size": 1} if what == "whole" else {"tail": "drop"}
stream = open_dataset(folder).stream(seed=1, **given)
try:
    if what == "own":
        loader = stream.loader(8, workers, drop_last=True, collate_fn=sums)
    elif what == "prepared":
        loader = accelerator.prepare(stream.loader(8, workers))
    else:
        loader = accelerator.prepare(DataLoader(stream, 8, num_workers=workers, collate_fn=sums, drop_last=True))
    print(json.dumps([batch.tolist() for batch in loader]))
except Exception as error:
    print(json.dumps(f"{type(error).__name__}: {error}"), flush=True)
"""


def on_two_ranks(folder: Path, what: str, workers: int, dispatch: str = "shard") -> list[Any]:
    """What each rank sees: sums of the keys of its batches, or its error; of the first alone where that dispatches."""
    environment = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(folder), what, str(workers), dispatch],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    told = []
    try:
        for process in ranks[: 1 if what != "whole" and dispatch == "dispatch" else 2]:
            output, errors = process.communicate(timeout=WAIT_SECONDS)
            assert output, errors.decode()
            told.append(json.loads(output.splitlines()[-1]))
    finally:
        for process in ranks:
            process.kill()
            process.communicate()
    return told


def sums(dataset: Dataset) -> set[int]:
    return {crc32(sample["__key__"].encode()) for sample in dataset.stream()}


@pytest.mark.slow
def test_the_loader_itself_reads_each_ranks_part(stream_folder: Path, dataset: Dataset) -> None:
    told = on_two_ranks(stream_folder, "own", 2)
    seen = [set(itertools.chain(*batches)) for batches in told]
    assert len(told[0]) == len(told[1])
    assert not seen[0] & seen[1]
    assert len(sums(dataset) - seen[0] - seen[1]) < 2 * 8 + 4


@pytest.mark.slow
@pytest.mark.parametrize("dispatch", ["shard", "dispatch"])
def test_a_prepared_loader_is_refused(stream_folder: Path, dispatch: str) -> None:
    for error in on_two_ranks(stream_folder, "prepared", 1, dispatch):
        assert "another DataLoader was made of loader.dataset" in error


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "dispatch"), [(0, "dispatch"), (1, "shard"), (1, "dispatch")])
def test_what_is_shared_out_twice_is_refused(stream_folder: Path, workers: int, dispatch: str) -> None:
    for error in on_two_ranks(stream_folder, "shared", workers, dispatch):
        assert "samples would be lost: pass rank=0, world_size=1" in error


@pytest.mark.slow
@pytest.mark.parametrize("dispatch", ["shard", "dispatch"])
def test_accelerate_shares_out_a_whole_split(stream_folder: Path, dataset: Dataset, dispatch: str) -> None:
    seen = [set(itertools.chain(*batches)) for batches in on_two_ranks(stream_folder, "whole", 1, dispatch)]
    assert not seen[0] & seen[1]
    assert len(sums(dataset) - seen[0] - seen[1]) < 2 * 8
