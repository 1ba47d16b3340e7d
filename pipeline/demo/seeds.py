from zlib import crc32

import numpy as np


def generator(seed: int, purpose: str, *ids: int) -> np.random.Generator:
    """Return the random stream for one purpose, which is the same in every process, whatever ran before.

    Args:
        seed: The demo's seed, 0 or more.
        purpose: What the numbers are for. No two purposes share a stream.
        *ids: The numbers of the group, the camera, the person and so on; 0 or more.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, crc32(purpose.encode()), *ids])))
