from zlib import crc32

import numpy as np


def generator(seed: int, purpose: str, *ids: int) -> np.random.Generator:
    """Return the random stream of one purpose, the same in every process and whatever ran before it.

    Args:
        seed: The demo's seed, 0 or more.
        purpose: What the numbers are for; two purposes share no stream.
        *ids: Which group, camera, person, ...; 0 or more.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, crc32(purpose.encode()), *ids])))
