"""What traps make of crops."""

import io

from PIL import Image

from pipeline.demo.city1m.lite.traps import TRAPS, CropFile
from pipeline.demo.city1m.writer import Member


def test_a_trap_makes_the_same_of_a_crop_every_time() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 16), "red").save(stream, "JPEG")
    crop = CropFile(Member("Image_2_crop", "Image_2_crop/0000001/0.jpg", stream.getvalue()))
    for trap in TRAPS:
        assert trap.apply(crop) == trap.apply(crop), trap.name
    (gray,) = next(trap for trap in TRAPS if trap.name == "grayscale JPEG").apply(crop)
    assert Image.open(io.BytesIO(gray.member.content)).mode == "L"
