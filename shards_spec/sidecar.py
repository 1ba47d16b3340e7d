"""The sidecar: the JSON that describes a sample and is the last of its files. The variant says which fields it has."""

import functools
from collections.abc import Iterable
from typing import Any

import msgspec

from shards_spec.errors import SpecError
from shards_spec.jsons import decode_json
from shards_spec.variants import Variant

_encoder = msgspec.json.Encoder()


def encode_sidecar(sidecar: msgspec.Struct) -> bytes:
    """Return the sidecar's bytes: JSON without white space, fields in the order of the struct."""
    return _encoder.encode(sidecar)


def encode_sidecars(sidecars: Iterable[msgspec.Struct]) -> list[bytes]:
    """Return the bytes of many sidecars, each as ``encode_sidecar`` returns it."""
    return [*map(_encoder.encode, sidecars)]


def decode_sidecar(data: bytes, variant: Variant) -> Any:
    """Read a sidecar.

    Args:
        data: The bytes of the sidecar.
        variant: The variant of the set, whose struct is returned.

    Raises:
        SpecError: A field does not fit; the message names the first one.
    """
    try:
        return decode_json(_decoder(variant.sidecar), data)
    except SpecError as error:
        raise SpecError(f"sidecar: {error}") from error


@functools.cache
def _decoder(struct: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(struct)
