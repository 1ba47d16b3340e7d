"""Crops of a frame, in whatever way they are cut."""

import pytest

from pipeline.crop.frame import FrameCrops, FrameFault, cut_frames
from pipeline.options import CutOptions
from shards_spec.images import decode_image
from shards_spec.rejects import RejectReason
from tests.pipeline.crop.jpeg_variants import Variant, encode, render

BOX = (40.0, 30.0, 60.0, 50.0)
WAYS = [CutOptions(), CutOptions(crop="reencode"), CutOptions(size=(64, 32))]


@pytest.mark.parametrize("options", WAYS)
def test_a_scan_that_was_cut_off_and_closed_is_no_frame_however_it_is_cut(options: CutOptions) -> None:
    """Pillow decodes it without a word: what is missing is gray."""
    whole = encode(render(203, 131), Variant())
    closed = whole[: len(whole) * 2 // 3] + b"\xff\xd9"
    colors = decode_image(closed).crop((150, 120, 200, 131)).getcolors()
    assert colors is not None
    assert len(colors) == 1
    damaged, sound = cut_frames([(closed, [BOX]), (whole, [BOX])], options)
    assert isinstance(damaged, FrameFault)
    assert damaged.reason is RejectReason.IMAGE_UNDECODABLE
    assert "marker" in damaged.detail
    assert isinstance(sound, FrameCrops)
