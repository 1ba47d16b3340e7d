"""JSON that anybody may have written, read into a type: what does not fit is one kind of error.

Numbers have bounds, because a number of JSON may have any number of digits, and what takes it (Arrow, a C function,
``float``) has only so many bits.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from shards_spec.errors import SpecError

Value = TypeVar("Value")

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A number of things or bytes that every JSON reader takes exactly."""
PositiveCount = Annotated[int, Meta(ge=1, le=2**53)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Ordinal = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""A number from 0 that an index column holds."""
Length = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""A number from 1 that an index column holds."""


def decode_json(decoder: msgspec.json.Decoder[Value], data: bytes | msgspec.Raw) -> Value:
    """Decode a JSON text to a decoder's type.

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
    """Decode one JSON text a line. See ``decode_json``."""
    try:
        return decoder.decode_lines(data)
    except RecursionError:
        raise SpecError("is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(str(error)) from error
