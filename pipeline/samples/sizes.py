"""How many bytes crops that are cut out of frames are expected to take in a shard."""

import numpy as np
import numpy.typing as npt

from pipeline.options import CutOptions
from shards_spec.tar import BLOCK

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

BYTES_A_PIXEL = 0.2
"""Bytes a pixel of a frame whose size is not known: those of photographs at a quality of about 80."""

_Int64 = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


def expected_crop_bytes(
    boxes: _Doubles, counts: _Int64, file_sizes: _Int64, frame_sizes: _Int64, options: CutOptions
) -> _Int64:
    """Estimate the bytes of each frame's crops in a shard, from the areas of the boxes.

    Args:
        boxes: Left, top, width and height of each box in pixels, frame after frame, ``[boxes, 4]``.
        counts: Number of boxes of each frame, ``[frames]``.
        file_sizes: Bytes of each frame's file, ``[frames]``.
        frame_sizes: Width and height of each frame in pixels, 0 where they are not known, ``[frames, 2]``.
        options: The options of cutting.

    Returns:
        The bytes of the crops with their sidecars and tar headers, ``[frames]``.
    """
    if options.size is not None:
        areas = np.full(len(boxes), float(options.size[0] * options.size[1]))
    else:
        grid = MCU_PIXELS if options.crop == "lossless" else 0
        extra = 2 * options.margin + grid
        most = np.repeat(np.where(frame_sizes > 0, frame_sizes, np.inf), counts, axis=0)
        sides = np.clip(boxes[:, 2:] + extra, 0, most)
        areas = sides[:, 0] * sides[:, 1]
    is_lossless = options.crop == "lossless" and options.size is None
    change = 1.0 if is_lossless else 2.0 ** ((options.quality - EVEN_QUALITY) / QUALITY_OF_TWICE)
    pixels = frame_sizes.prod(axis=1, dtype=np.float64)
    density = np.divide(file_sizes, pixels, out=np.full(len(counts), BYTES_A_PIXEL), where=pixels > 0)
    ends = np.cumsum(counts)
    sums = np.concatenate([[0.0], np.cumsum(areas)])
    written: _Doubles = change * PERSON_DENSITY * density * (sums[ends] - sums[ends - counts]) + counts * SAMPLE_BYTES
    return written.astype(np.int64)
