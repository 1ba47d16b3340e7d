"""How many bytes the crops of frames are expected to take in a shard."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.options import CutOptions
from pipeline.samples import expected_crop_bytes
from shards_spec.variants.city1m.evidence import DOCUMENTED_FRAME_SIZE


def expected_bytes(frames: pa.Table, frame_size: Sequence[int] | None, options: CutOptions) -> npt.NDArray[np.int64]:
    """Estimate the bytes of each frame's crops in a shard, from the areas of the boxes.

    Args:
        frames: Rows of the catalog.
        frame_size: Width and height of the frames in pixels; None for those that the dataset documents.
        options: The options of cutting.

    Returns:
        The bytes of the crops with their sidecars and tar headers, ``[frames]``.
    """
    boxes = frames["boxes"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
    counts, sizes = (frames[name].to_numpy().astype(np.int64) for name in ("samples", "size"))
    frame_sizes = np.broadcast_to(np.asarray(frame_size or DOCUMENTED_FRAME_SIZE, np.int64), (len(counts), 2))
    return expected_crop_bytes(boxes, counts, sizes, frame_sizes, options)
