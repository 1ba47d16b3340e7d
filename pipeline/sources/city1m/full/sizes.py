"""How many bytes the crops of frames are expected to take in a shard."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.options import CutOptions
from pipeline.sources.city1m.labels.ragged import list_starts
from shards_spec.tar import BLOCK
from shards_spec.variants.city1m.evidence import DOCUMENTED_FRAME_SIZE

SAMPLE_BYTES = 6 * BLOCK
"""Bytes of a sample beside its image data: two headers of the tar, the sidecar, the header and tables of the JPEG, and
what fills the blocks up."""

MCU_PIXELS = 16
"""Pixels that the MCU grid adds to each side of a losslessly cut crop, on average over both ends."""

PERSON_DENSITY = 1.5
"""Bytes a pixel of a crop that shows a person, in relation to those of its whole frame. With it, the estimate for
rendered frames was 2% over the size of their crops, and 4% with a margin of 20 pixels."""

EVEN_QUALITY = 80
QUALITY_OF_TWICE = 18
"""A crop that is compressed again is about as large as before at a quality of 80, and its size is taken to double with
each 18 steps of the quality. For rendered frames, the estimate was 8 to 25% under the truth."""


def expected_bytes(frames: pa.Table, frame_size: Sequence[int] | None, options: CutOptions) -> npt.NDArray[np.int64]:
    """Estimate the bytes of each frame's crops in a shard, from the areas of the boxes.

    Args:
        frames: Rows of the catalog.
        frame_size: Width and height of the frames in pixels; None for those that the dataset documents.
        options: The options of cutting.

    Returns:
        The bytes of the crops with their sidecars and tar headers, ``[frames]``.
    """
    width, height = frame_size or DOCUMENTED_FRAME_SIZE
    counts = frames["samples"].to_numpy()
    boxes = frames["boxes"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
    if options.size is not None:
        areas = np.full(len(boxes), float(options.size[0] * options.size[1]))
    else:
        grid = MCU_PIXELS if options.crop == "lossless" else 0
        extra = 2 * options.margin + grid
        sides = np.clip(boxes[:, 2:] + extra, 0, (width, height))
        areas = sides[:, 0] * sides[:, 1]
    is_lossless = options.crop == "lossless" and options.size is None
    change = 1.0 if is_lossless else 2.0 ** ((options.quality - EVEN_QUALITY) / QUALITY_OF_TWICE)
    density = change * PERSON_DENSITY * frames["size"].to_numpy() / (width * height)
    starts = list_starts(counts)
    sums = np.concatenate([[0.0], np.cumsum(areas)])
    written: npt.NDArray[np.float64] = density * (sums[starts[1:]] - sums[starts[:-1]]) + counts * SAMPLE_BYTES
    return written.astype(np.int64)
