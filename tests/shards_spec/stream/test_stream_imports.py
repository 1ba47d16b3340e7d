"""What a machine needs to import the reader, and to stream bytes."""

import subprocess
import sys
from pathlib import Path

from shards_spec.stream import open_dataset

_HEAVY = ("pipeline", "ray", "PIL", "torch", "webdataset", "pyarrow", "pandas")

_IMPORT = """
import sys
import shards_spec, shards_spec.stream, shards_spec.stream.export
print([name for name in sys.argv[1:] if name in sys.modules])
"""

_ALONE = """
import sys
import shards_spec
print([name for name in ("numpy", "msgspec", "obstore", "shards_spec.stream") if name in sys.modules])
from shards_spec import *
assert (open_dataset, Dataset) == (shards_spec.stream.open_dataset, shards_spec.stream.Dataset)
assert not hasattr(shards_spec, "anything_else")
"""

_READING = """
import sys
sys.modules["torch"] = None
from shards_spec import open_dataset
stream = open_dataset(sys.argv[1]).stream()
print(sum(1 for _ in stream.source()), [name for name in ("pyarrow", "pandas") if name in sys.modules])
"""

_WITHOUT = """
import sys
for name in ("torch", "torchdata", "PIL", "ray", "pipeline"):
    sys.modules[name] = None
from shards_spec import open_dataset
from shards_spec.stream.epoch import run_epoch
stream = open_dataset(sys.argv[1]).stream(seed=1)
print(sum(1 for _ in stream.map(lambda sample: {"key": sample["__key__"]}).batched(4)) > 3, run_epoch(stream).samples)
"""


def run(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_needs_nothing_heavy() -> None:
    assert run(_IMPORT, *_HEAVY) == "[]"
    assert run(_ALONE) == "[]"


def test_reading_needs_no_pyarrow_where_the_index_is_there(stream_folder: Path) -> None:
    count = sum(1 for _ in open_dataset(stream_folder).stream())
    assert run(_READING, stream_folder) == f"{count} []"


def test_without_pytorch_and_pillow_everything_but_the_loader_works(stream_folder: Path) -> None:
    told, samples = run(_WITHOUT, stream_folder).split()
    assert told == "True"
    assert int(samples) > 12
