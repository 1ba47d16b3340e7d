import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

def write_samples(
    keys: list[str],
    extensions: list[tuple[str, ...]],
    files: list[tuple[bytes, ...]],
    places: npt.NDArray[np.int64],
    out: memoryview,
    /,
) -> int: ...
def gather_ranges(
    first: Buffer, second: Buffer, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], out: Buffer, /
) -> int: ...
