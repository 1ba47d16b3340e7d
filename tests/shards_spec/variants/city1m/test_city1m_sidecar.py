import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import SpecError
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.variants.city1m import CITY1M, Sidecar, make_key

SIDECAR = Sidecar(
    spec="1.0",
    frame="0009501_pCount2_cam1_0000001_day",
    group_id="0009501",
    person_id=0,
    identity="0009501-0",
    camera=1,
    time="day",
    depth=1.5166,
    box=(1477.3156, 230.6843, 186.0616, 346.3864),
    frame_size=(1920, 1080),
    crop=(1472, 224, 193, 355),
    image_size=(193, 355),
    roi=(5, 6, 187, 348),
    encoding="lossless",
    members=2,
    splits={"p1": ["train"], "p2": []},
)

GOLDEN = (
    b'{"spec":"1.0","frame":"0009501_pCount2_cam1_0000001_day","group_id":"0009501","person_id":0,'
    b'"identity":"0009501-0","camera":1,"time":"day","depth":1.5166,"box":[1477.3156,230.6843,186.0616,346.3864],'
    b'"frame_size":[1920,1080],"crop":[1472,224,193,355],"image_size":[193,355],"roi":[5,6,187,348],'
    b'"encoding":"lossless","members":2,"splits":{"p1":["train"],"p2":[]}}'
)


def test_the_bytes_are_the_formats() -> None:
    assert encode_sidecar(SIDECAR) == GOLDEN
    assert decode_sidecar(GOLDEN, CITY1M) == SIDECAR


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_also_through_another_reader(depth: float, x: float) -> None:
    sidecar = msgspec.structs.replace(SIDECAR, depth=depth, box=(x, 0.0, 1.0, 1.0))
    data = encode_sidecar(sidecar)
    assert decode_sidecar(data, CITY1M) == sidecar
    assert json.loads(data)["depth"] == depth
    assert isinstance(json.loads(data)["box"][0], float)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"person_id":0', b'"person_id":"0"', "person_id"),
        (b'"person_id":0', b'"person_id":-1', "person_id"),
        (b'"time":"day"', b'"time":"dusk"', "time"),
        (b'"crop":[1472,', b'"crop":[-1,', "crop"),
        (b'"depth":1.5166,', b"", "depth"),
        (b'"box":[1477.3156,', b'"box":[', "box"),
        (b'"spec"', b'"spec', "malformed"),
        (b"day", b"\xff", "utf-8"),
    ],
)
def test_what_does_not_fit_is_named(old: bytes, new: bytes, field: str) -> None:
    with pytest.raises(SpecError, match=f"(?i){field}"):
        decode_sidecar(GOLDEN.replace(old, new), CITY1M)


@pytest.mark.parametrize("field", ["person_id", "camera", "members"])
@pytest.mark.parametrize("number", [2**31, 2**40, 2**64, 10**400, -(2**31) - 1])
def test_numbers_that_no_index_holds(field: str, number: int) -> None:
    data = GOLDEN.replace(f'"{field}":{getattr(SIDECAR, field)}'.encode(), f'"{field}":{number}'.encode())
    assert data != GOLDEN
    with pytest.raises(SpecError, match=field):
        decode_sidecar(data, CITY1M)


@pytest.mark.parametrize("field", ["frame_size", "crop", "image_size", "roi"])
def test_lengths_that_no_index_holds(field: str) -> None:
    for number in (2**31, 2**40, 10**400):
        numbers = [*getattr(SIDECAR, field)]
        old, new = (f'"{field}":{value}'.replace(" ", "").encode() for value in (numbers, [number, *numbers[1:]]))
        data = GOLDEN.replace(old, new)
        assert data != GOLDEN
        with pytest.raises(SpecError, match=field):
            decode_sidecar(data, CITY1M)


def test_nesting_without_end() -> None:
    with pytest.raises(SpecError, match="sidecar: is nested too deeply"):
        decode_sidecar(GOLDEN[:-1] + b',"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}", CITY1M)


def test_keys() -> None:
    assert make_key("0009501_pCount2_cam1_0000001_day", 12) == "0009501_pCount2_cam1_0000001_day_p12"
    for frame in ("a.b", "a/b", "ä", "x" * 89, "a\n", ""):
        if frame:
            with pytest.raises(SpecError, match="no key"):
                make_key(frame, 0)
