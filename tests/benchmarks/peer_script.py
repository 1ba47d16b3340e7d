"""What one would write in an afternoon: a pool, zipfile, Pillow and webdataset's TarWriter. The peer of `convert`.

python peer_script.py SRC OUT WORKERS
"""

import io
import multiprocessing
import sys
import zipfile
from pathlib import Path

import webdataset
from PIL import Image


def write_shard(job: tuple[int, list[tuple[str, str, list[list[str]]]], str]) -> int:
    number, frames, out = job
    archives: dict[str, zipfile.ZipFile] = {}
    count = 0
    with webdataset.TarWriter(f"{out}/{number:06d}.tar") as tar:
        for archive, name, members in frames:
            if archive not in archives:
                archives[archive] = zipfile.ZipFile(archive)
            image = Image.open(io.BytesIO(archives[archive].read(name)))
            for person, *box, depth in members:
                x, y, w, h = map(float, box)
                crop = io.BytesIO()
                image.crop((int(x), int(y), int(x + w) + 1, int(y + h) + 1)).save(crop, "JPEG", quality=95)
                key = f"{Path(name).stem}_p{person}"
                sidecar = {"frame": name, "person_id": int(person), "box": [x, y, w, h], "depth": float(depth)}
                tar.write({"__key__": key, "jpg": crop.getvalue(), "json": sidecar})
                count += 1
    return count


def main(source: str, out: str, workers: int, frames_a_shard: int = 250) -> None:
    labels = {}
    for file in sorted(Path(source).glob("*_part*.txt")):
        for line in file.read_text().splitlines():
            name, *members = line.split()
            labels[name] = [member.split(",") for member in members]
    frames = [
        (str(archive), member, labels[Path(member).name])
        for archive in sorted(Path(source).glob("*.zip"))
        for member in zipfile.ZipFile(archive).namelist()
        if Path(member).name in labels
    ]
    jobs = [(i, frames[i : i + frames_a_shard], out) for i in range(0, len(frames), frames_a_shard)]
    with multiprocessing.Pool(workers) as pool:
        sys.stdout.write(f"{sum(pool.imap_unordered(write_shard, jobs))}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
