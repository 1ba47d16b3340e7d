"""A process that reads for long does not grow."""

import subprocess
import sys
from pathlib import Path

_EPOCHS = """
import gc, sys
from pathlib import Path
from shards_spec import open_dataset

def own():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

stream = open_dataset(sys.argv[1]).stream()
batches = open_dataset(sys.argv[1]).stream().identity_batches(4, 2)
def epochs(count):
    for _ in range(count):
        for samples in (stream, batches):
            for _ in samples:
                pass
    gc.collect()
    return own()
first = epochs(3)
print(epochs(20) - first)
"""


def test_memory_is_flat_over_epochs(stream_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EPOCHS, str(stream_folder)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 3 * 1024  # KiB
