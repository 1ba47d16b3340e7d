"""Checks of samples whose images were cut out of frames. Every variant with boxes in frames uses them."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from shards_spec.errors import SpecError
from shards_spec.geometry import CropPlan, image_plan, plan_lossless, plan_reencode

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_HUFFMAN = {0xC0, 0xC1}


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRules:
    """What the options of a conversion prescribe for images that are cut out of frames."""

    margin: int
    """Pixels that are kept around each box."""
    size: tuple[int, int] | None
    """Height and width of every image; None if crops keep their size."""
    may_be_lossless: bool
    """Whether the options allow crops to be cut in the bitstream."""


def cut_rules(options: Any) -> CutRules:
    """Return the rules that follow from ``CutOptions``."""
    return CutRules(
        margin=options.margin,
        size=options.size,
        may_be_lossless=options.crop == "lossless" and options.size is None,
    )


class CutSidecar(Protocol):
    """The fields of a sidecar from which the geometry of its image follows."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height in pixels of the frame, as labelled."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the frame."""

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """The part of the frame that the image shows."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the image."""

    @property
    def roi(self) -> tuple[int, int, int, int]:
        """The box in the image."""

    @property
    def encoding(self) -> str:
        """How the image was made."""


class Sampling(NamedTuple):
    """How a JPEG's components are sampled."""

    mcu_size: tuple[int, int]
    """Width and height of an MCU in pixels."""
    subsampled: tuple[bool, bool]
    """Whether some component has fewer samples than another, horizontally and vertically."""


def check_cut(sidecar: CutSidecar, image: bytes, rules: CutRules) -> None:
    """Raise ``SpecError`` if a sidecar contradicts what follows from its box, its frame's size and the options."""
    plan = _expected_plan(sidecar, image, rules)
    if plan is None:
        raise SpecError(
            f"its box {list(sidecar.box)} has no pixel inside the frame of {_by(sidecar.frame_size)} pixels"
        )
    image_size, roi = image_plan(plan, rules.size)
    for name, value, expected in (
        ("crop", sidecar.crop, plan.crop),
        ("image_size", sidecar.image_size, image_size),
        ("roi", sidecar.roi, roi),
    ):
        if value != expected:
            raise SpecError(
                f"{name} is {list(value)}, but by its box and the manifest's options it is {list(expected)}"
            )


def _expected_plan(sidecar: CutSidecar, image: bytes, rules: CutRules) -> CropPlan | None:
    if sidecar.encoding == "reencoded":
        return plan_reencode(sidecar.box, rules.margin, sidecar.frame_size)
    if sidecar.encoding != "lossless" or not rules.may_be_lossless:
        raise SpecError(f"encoding is {sidecar.encoding!r}, which the manifest's options do not allow")
    sampling = read_sampling(image)
    return plan_lossless(sidecar.box, rules.margin, sidecar.frame_size, sampling.mcu_size, sampling.subsampled)


def read_sampling(data: bytes) -> Sampling:
    """Read from a JPEG's frame header how its components are sampled.

    Raises:
        SpecError: It has no such header, or is not of a kind whose bitstream can be cut.
    """
    place = 2
    try:
        while data[place] == 0xFF:
            marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
            if marker in _FRAME_HEADERS:
                if marker not in _SEQUENTIAL_HUFFMAN:
                    raise SpecError("encoding is 'lossless', but the image is not a sequential, Huffman-coded JPEG")
                return _read_factors(data[place + 9], data[place + 10 : place + 2 + length])
            place += 2 + length
    except IndexError:
        pass
    raise SpecError("encoding is 'lossless', but the image has no frame header where a cut JPEG has it")


def _read_factors(count: int, components: bytes) -> Sampling:
    factors = components[1 : 3 * count : 3]
    if count < 2 or len(factors) < count:  # the MCU of a scan with one component is one block, whatever its factors
        return Sampling((8, 8), (False, False))
    across, down = [factor >> 4 for factor in factors], [factor & 15 for factor in factors]
    return Sampling((8 * max(across), 8 * max(down)), (min(across) < max(across), min(down) < max(down)))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
