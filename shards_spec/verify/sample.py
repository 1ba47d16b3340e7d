"""Checks a sidecar against its image, its key, its cell and the conversion's options."""

from dataclasses import dataclass
from typing import NamedTuple

from shards_spec.city1m import parse_frame_name
from shards_spec.errors import SpecError
from shards_spec.geometry import CropPlan, image_plan, plan_lossless, plan_reencode
from shards_spec.sidecar import Sidecar, make_identity, make_key
from shards_spec.version import SPEC_VERSION

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_HUFFMAN = {0xC0, 0xC1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRules:
    """What the manifest prescribes for each sample of a cell."""

    splits: dict[str, list[str]]
    """The sorted splits that the cell stands for, by protocol."""
    identity_is_global: bool
    margin: int
    """Pixels that are kept around each box."""
    size: tuple[int, int] | None
    """Height and width of every image; None if crops keep their size."""
    may_be_lossless: bool
    """Whether the options allow crops to be cut in the bitstream."""


class Sampling(NamedTuple):
    """How a JPEG's components are sampled."""

    mcu_size: tuple[int, int]
    """Width and height of an MCU in pixels."""
    subsampled: tuple[bool, bool]
    """Whether some component has fewer samples than another, horizontally and vertically."""


def check_sidecar(key: str, sidecar: Sidecar, image: bytes, rules: SampleRules) -> None:
    """Raise ``SpecError`` if a sidecar contradicts its key, its image or the rules."""
    if sidecar.spec != SPEC_VERSION:
        raise SpecError(f"spec is {sidecar.spec!r}, not {SPEC_VERSION!r}")
    if make_key(sidecar.frame, sidecar.person_id) != key:
        raise SpecError(f"the sidecar is that of frame {sidecar.frame}, person {sidecar.person_id}")
    _check_names(sidecar, rules)
    if list(sidecar.splits.items()) != list(rules.splits.items()):
        raise SpecError(f"its splits are {sidecar.splits}, but the cell's are {rules.splits}")
    _check_geometry(sidecar, image, rules)


def _check_names(sidecar: Sidecar, rules: SampleRules) -> None:
    """Check what follows from the frame's name."""
    said = parse_frame_name(sidecar.frame)
    if said is None:
        raise SpecError(f"{sidecar.frame!r} is not the name of a frame")
    identity = make_identity(said.group_id, sidecar.person_id, is_global=rules.identity_is_global)
    for name, value, expected in (
        ("group_id", sidecar.group_id, said.group_id),
        ("camera", sidecar.camera, said.camera),
        ("time", sidecar.time, said.time),
        ("identity", sidecar.identity, identity),
    ):
        if value != expected:
            raise SpecError(f"{name} is {value!r}, but by its frame's name and the manifest it is {expected!r}")


def _check_geometry(sidecar: Sidecar, image: bytes, rules: SampleRules) -> None:
    """Check what follows from the box, the frame's size and the options."""
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


def _expected_plan(sidecar: Sidecar, image: bytes, rules: SampleRules) -> CropPlan | None:
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
