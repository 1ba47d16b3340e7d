"""Decoding untrusted JSON into types. Whatever does not fit raises one kind of error.

Numbers have bounds, because JSON numbers may have any number of digits, while Arrow, C functions and ``float`` only
have so many bits.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError

Value = TypeVar("Value")

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A number of things or bytes that every JSON reader represents exactly."""
PositiveCount = Annotated[int, Meta(ge=1, le=2**53)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Ordinal = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""A number from 0 that fits an index column."""
Length = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""A number from 1 that fits an index column."""


def decode_json(decoder: msgspec.json.Decoder[Value], data: bytes | msgspec.Raw) -> Value:
    """Decode a JSON text into a decoder's type.

    Raises:
        SpecError: It is not JSON or not of this type; the message does not name the file.
    """
    try:
        return decoder.decode(data)
    except RecursionError:
        raise SpecError("is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(str(error)) from error


def decode_json_lines(decoder: msgspec.json.Decoder[Value], data: bytes) -> list[Value]:
    """Decode one JSON text from each line. See ``decode_json``."""
    try:
        return decoder.decode_lines(data)
    except RecursionError:
        raise SpecError("is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(str(error)) from error
