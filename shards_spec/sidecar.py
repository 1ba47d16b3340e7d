"""The sidecar: the JSON that stands beside each crop, and the keys that samples have."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError
from shards_spec.jsons import Length, Ordinal, decode_json

KEY_PATTERN = "^[A-Za-z0-9_-]{1,90}$"
"""No dot, so that no reader splits a key; under 100 bytes with its extension, so that a USTAR name holds it."""

IMAGE_EXTENSION = ".jpg"
SIDECAR_EXTENSION = ".json"

VARIANT = "city1m"
"""The manifest's name for sets whose sidecars are ``Sidecar``."""

Pair = tuple[Length, Length]
Rectangle = tuple[Ordinal, Ordinal, Length, Length]
"""Left, top, width, height in pixels."""


class Sidecar(msgspec.Struct, frozen=True):
    """What is known of a crop. All fields are always present, in this order."""

    spec: str
    """Version of the shard format: "1.0"."""
    frame: Annotated[str, Meta(min_length=1)]
    """Name of the frame that the crop was cut from, without its extension."""
    group_id: str
    """As spelled in the frame's name."""
    person_id: Ordinal
    """As labelled: the member's number in its group, or the person's in the dataset; see the manifest's
    identity_scope."""
    identity: str
    """Names the person across the set: ``<group_id>-<person_id>``, or ``<person_id>`` where ids are global."""
    camera: Ordinal
    time: Literal["day", "night"]
    depth: float
    """As labelled."""
    box: tuple[float, float, float, float]
    """Left, top, width, height in pixels of the frame, as labelled; may reach beyond the frame."""
    frame_size: Pair
    """Width and height of the frame in pixels."""
    crop: Rectangle
    """The part of the frame that the image shows, in pixels of the frame."""
    image_size: Pair
    """Width and height of the image in the shard; differs from ``crop`` only where crops were resized."""
    roi: Rectangle
    """Where the box, rounded outwards and clamped to the frame, lies in the image: loaders cut to it."""
    encoding: Literal["lossless", "reencoded", "source"]
    """How the image came to be: cut in the bitstream, encoded anew, or taken as it was."""
    members: Length
    """Crops written for this frame."""
    splits: dict[str, list[str]]
    """Protocol to the sorted splits that the frame stands in."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sidecar)
_key = re.compile(KEY_PATTERN)


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """The sidecar's bytes: JSON without white space, fields in the order of ``Sidecar``."""
    return _encoder.encode(sidecar)


def decode_sidecar(data: bytes) -> Sidecar:
    """Read a sidecar; raises ``SpecError`` naming the first field that does not fit."""
    try:
        return decode_json(_decoder, data)
    except SpecError as error:
        raise SpecError(f"sidecar: {error}") from error


def make_key(frame: str, person_id: int) -> str:
    """The key of a sample, ``<frame>_p<person id>``; raises ``SpecError`` if it does not match ``KEY_PATTERN``."""
    key = f"{frame}_p{person_id}"
    if _key.match(key) is None:
        raise SpecError(f"{key!r} is no key: it must match {KEY_PATTERN}")
    return key


def make_identity(group_id: str, person_id: int, *, is_global: bool) -> str:
    """What names a person across the set: the id alone where ids are global, else with the group that it counts in."""
    return str(person_id) if is_global else f"{group_id}-{person_id}"
