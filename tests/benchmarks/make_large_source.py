"""Make a City1M of any size out of a small one, for ``bench_convert``: every group again and again, under new ids.

What a conversion costs depends on a frame's bytes and boxes, not on whether they were seen before; drawing 26,000 new
frames would take ten minutes.
"""

import re
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

FRAME_NAME = re.compile(r"(?P<group>\d+)(?=_pCount)")


def copy_name(name: str, copy: int) -> str:
    """The frame's name in a copy, its group under an id of its own."""
    return FRAME_NAME.sub(lambda found: f"{int(found['group']) + copy * 1_000_000:07d}", name)


def repeat_archive(archive: Path, out: Path, copies: int) -> None:
    """Write the archive with all its frames once for each copy, packed as they were."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(out / archive.name, "w") as target:
        for copy in range(copies):
            for member in source.infolist():
                name = copy_name(member.filename, copy)
                target.writestr(name, source.read(member), member.compress_type, compresslevel=1)


def make_large_source(source: Path, out: Path, copies: int, workers: int) -> None:
    """Write ``copies`` times the frames and the label lines of ``source`` to ``out``."""
    out.mkdir()
    for labels in source.glob("*_part*.txt"):
        text = labels.read_text()
        (out / labels.name).write_text("".join(copy_name(text, copy) for copy in range(copies)))
    with ProcessPoolExecutor(workers) as pool:
        archives = sorted(source.glob("*.zip"))
        list(pool.map(partial(repeat_archive, out=out, copies=copies), archives))
