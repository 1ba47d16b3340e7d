"""What one would write in an afternoon: webdataset reads tars of images and writes shards. The peer of `convert`.

python peer_tars.py SRC OUT WORKERS [decode]

Each tar is one process's work. Images are written as they were read; with "decode", each is decoded before, so that
damaged ones are found. There is no shuffle, no index, no digest and no account of what is lost.
"""

import io
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import webdataset
from PIL import Image

SAMPLES_PER_SHARD = 50_000


def decode(sample: dict[str, Any]) -> dict[str, Any]:
    Image.open(io.BytesIO(sample["jpg"])).load()
    return sample


def rewrite(job: tuple[Path, str, str]) -> int:
    tar, out, how = job
    count = 0
    dataset = webdataset.WebDataset(str(tar), shardshuffle=False)
    if how == "decode":
        dataset = dataset.map(decode)
    pattern = f"{out}/{tar.stem}-%06d.tar"
    with webdataset.ShardWriter(pattern, maxcount=SAMPLES_PER_SHARD, maxsize=1e12, verbose=0) as writer:
        for sample in dataset:
            path, _, name = sample["__key__"].rpartition("/")
            folder = path.rpartition("/")[2]
            sidecar = {"image": f"{folder}/{name}.jpg", "folder": folder}
            writer.write({"__key__": f"{folder}_{name}", "jpg": sample["jpg"], "json": sidecar})
            count += 1
    return count


def main(source: str, out: str, workers: str, how: str = "") -> None:
    jobs = [(tar, out, how) for tar in sorted(Path(source).glob("*.tar"))]
    with multiprocessing.Pool(int(workers)) as pool:
        sys.stdout.write(f"{sum(pool.imap_unordered(rewrite, jobs))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
