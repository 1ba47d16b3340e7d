"""The frames' size in pixels, read from a few of them: the box order is decided by it."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from pipeline.archives import MemberFault, MemberRequest, read_members
from pipeline.crop.bitstream import JpegError, read_header
from shards_spec.storage import Store

FRAMES_AN_ARCHIVE = 4
"""Frames that are read of each archive: the first ones, which lie together, so one request gets them."""


def probe_frame_size(store: Store, requests: Sequence[MemberRequest]) -> tuple[int, int] | None:
    """The most common (width, height) of some frames.

    Args:
        store: Holds the archives.
        requests: The frames, a few of each archive.

    Returns:
        None where none of them can be read: what is wrong with them is found, and said, when they are converted.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    with closing(read_members(store, requests)) as members:
        for _, member in members:
            if isinstance(member, MemberFault):
                continue
            try:
                header = read_header(member)
            except JpegError:
                continue
            if header.width and header.height:
                sizes[header.width, header.height] += 1
    # The larger of two equally common ones, so that the order of reading does not matter.
    return max(sizes, key=lambda size: (sizes[size], size), default=None)
