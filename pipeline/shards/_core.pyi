import numpy as np
import numpy.typing as npt

def write_samples(
    keys: list[str],
    extensions: list[tuple[str, ...]],
    files: list[tuple[bytes, ...]],
    places: npt.NDArray[np.int64],
    out: memoryview,
    /,
) -> int: ...
