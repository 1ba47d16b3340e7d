"""Two real ranks of torch.distributed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from shards_spec import open_dataset

_RANK = """
import json, sys
from pathlib import Path

from shards_spec import open_dataset
import torch.distributed
from shards_spec import open_dataset

folder, store, rank, saved = sys.argv[1:]
torch.distributed.init_process_group("gloo", init_method=store, rank=int(rank), world_size=2)
stream = open_dataset(folder).stream(seed=2, tail="drop")
loader = stream.loader(batch_size=4, num_workers=2)
told = []
for epoch in range(2):
    keys = []
    for number, batch in enumerate(loader):
        # Would hang, were one rank to have more batches than the other.
        torch.distributed.all_reduce(torch.ones(1))
        keys.append(batch["__key__"])
        if epoch == 1 and number == 2:
            if rank == "0":
                Path(saved).write_text(json.dumps(loader.state_dict()))
            break
    told.append(keys)
print(json.dumps(told))
torch.distributed.destroy_process_group()
"""


def test_two_ranks_share_and_one_goes_on(stream_folder: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    saved = tmp_path / "state.json"
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(stream_folder), address, str(rank), str(saved)],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for rank in range(2)
    ]
    told = []
    for process in ranks:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        told.append(json.loads(output))
    dataset = open_dataset(stream_folder)
    everything = {sample["__key__"] for sample in dataset.stream()}
    first = [[key for batch in rank[0] for key in batch] for rank in told]
    assert len(first[0]) == len(first[1])
    assert len(set(first[0]) | set(first[1])) == len(first[0]) + len(first[1]) >= len(everything) - 3
    # The second epoch broke off after three steps; one process without workers hands out the rest of it.
    loader = dataset.stream(seed=2, tail="drop").loader(batch_size=8)
    loader.load_state_dict(json.loads(saved.read_text()))
    rest = [key for batch in loader for key in batch["__key__"]]
    seen = [key for rank in told for batch in rank[1] for key in batch]
    assert len(seen) == 24
    assert sorted(seen + rest) == sorted(everything)
