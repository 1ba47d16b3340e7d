"""How much memory a survey of a large table takes: ten million rows are to fit into some 4 GB."""

import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from tests.support.processes import environment

ROWS, FRAMES = 150_000, 10_000

SURVEY = """
import resource, sys
from pipeline.sources.tables import BOXES_TABLE
from shards_spec.storage import LocalStore
BOXES_TABLE.load()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
catalog = BOXES_TABLE.survey(LocalStore(sys.argv[1]), BOXES_TABLE.make_options({}))
print(catalog.accounts["boxes"].kept, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_row_takes_less_than_400_bytes(tmp_path: Path, kind: str) -> None:
    names = [f"cam{number % 6}/{number:08d}.jpg" for number in range(FRAMES)]
    with zipfile.ZipFile(tmp_path / "frames.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    row = np.arange(ROWS)
    table = pa.table(
        {
            "file": pa.array(names).take(pa.array(row % FRAMES)),
            "x": (row // FRAMES * 10).astype(float),
            "y": (row % 900).astype(float),
            "w": np.full(ROWS, 41.5),
            "h": np.full(ROWS, 133.0),
            "person_id": row % 5000,
            "split": pa.array(["train", "test"]).take(pa.array(row % FRAMES % 2)),
            "score": row / 7,
        }
    )
    if kind == "parquet":
        pq.write_table(table, tmp_path / "labels.parquet", row_group_size=ROWS // 3)
    elif kind == "csv":
        pv.write_csv(table, tmp_path / "labels.csv")
    else:
        lines = map(msgspec.json.encode, table.to_pylist())
        (tmp_path / "labels.jsonl").write_bytes(b"\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", SURVEY, tmp_path], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kept, grown = map(int, done.stdout.split())
    assert kept == ROWS
    assert grown < 400 * ROWS + 40 * 2**20, f"{grown / ROWS:.0f} bytes a row"
