"""Whatever a JSON text holds, reading it ends with a value of the type or with one error."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import SpecError
from shards_spec.jsons import Count, Int32, Length, Ordinal, PositiveCount, decode_json, decode_json_lines
from tests.hostile.damage import RAW_VALUES


class Numbers(msgspec.Struct):
    count: Count = 0
    positive: PositiveCount = 1
    integer: Int32 = 0
    ordinal: Ordinal = 0
    length: Length = 1
    real: float = 0.0
    anything: Any = None


DECODER = msgspec.json.Decoder(Numbers)
BOUNDS = {"count": 2**53, "positive": 2**53, "integer": 2**31 - 1, "ordinal": 2**31 - 1, "length": 2**31 - 1}


@pytest.mark.parametrize("name", [*BOUNDS, "real", "unknown"])
@pytest.mark.parametrize("value", RAW_VALUES)
def test_hostile_values(name: str, value: str) -> None:
    data = f'{{"{name}":{value}}}'.encode(errors="surrogatepass")
    for decode in (decode_json, decode_json_lines):
        with contextlib.suppress(SpecError):
            decode(DECODER, data)


@pytest.mark.parametrize(("name", "highest"), BOUNDS.items())
def test_numbers_end_where_what_takes_them_ends(name: str, highest: int) -> None:
    assert getattr(decode_json(DECODER, b'{"%s":%d}' % (name.encode(), highest)), name) == highest
    for value in (highest + 1, 2**64, 10**400, -(2**31) - 1):
        with pytest.raises(SpecError, match=name):
            decode_json(DECODER, b'{"%s":%d}' % (name.encode(), value))


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"anything":' * 100_000, b'{"unknown":' + b"[" * 10**6])
def test_nesting_without_end(data: bytes) -> None:
    with pytest.raises(SpecError, match="nested too deeply"):
        decode_json(msgspec.json.Decoder(), data)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    for decoder in (DECODER, msgspec.json.Decoder()):
        for decode in (decode_json, decode_json_lines):
            with contextlib.suppress(SpecError):
                decode(decoder, data)
