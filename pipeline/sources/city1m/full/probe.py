"""The frames' size in pixels, read from a few of them, for deciding the box order."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from pipeline.archives import EntryFault, ZipRequest, read_entries
from pipeline.crop.bitstream import JpegError, read_header
from shards_spec.storage import Store

FRAMES_AN_ARCHIVE = 4
"""Number of frames that are read from each archive: the first ones, which one request reads because they lie
together."""


def probe_frame_size(store: Store, requests: Sequence[ZipRequest]) -> tuple[int, int] | None:
    """Return the most common (width, height) of some frames.

    Args:
        store: The store with the archives.
        requests: The frames to read, a few from each archive.

    Returns:
        The size, or None if none of the frames can be read; the conversion will find out and report what is wrong with
        them.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    with closing(read_entries(store, requests)) as entries:
        for _, entry in entries:
            if isinstance(entry, EntryFault):
                continue
            try:
                header = read_header(entry)
            except JpegError:
                continue
            if header.width and header.height:
                sizes[header.width, header.height] += 1
    # The larger of two equally common sizes wins, so that the order of reading does not matter.
    return max(sizes, key=lambda size: (sizes[size], size), default=None)
