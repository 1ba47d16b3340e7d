"""The variant of person models: what its fields say of each other and of the files."""

import hashlib
from typing import Any

import msgspec
import pytest

from shards_spec.errors import SpecError
from shards_spec.variants.person_models import (
    PERSON_MODELS,
    IdNumberEvidence,
    ModelFile,
    Sidecar,
    model_id_of,
    split_of,
    texture_extensions,
)

FILES = {"fbx": b"model", "0.png": b"front", "1.jpg": b"back"}
NAMES = ["m/00007.fbx", "Texture/front.PNG", "Texture/back.jpg"]
SIDECAR = Sidecar(
    spec="1.0",
    model="m/00007.fbx",
    model_id=7,
    identity="7",
    used=True,
    textures=2,
    files=[
        ModelFile(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in zip(NAMES, FILES.values(), strict=True)
    ],
    splits={"p1": ["used"]},
)


def test_a_sample_that_agrees_with_itself_is_sound() -> None:
    PERSON_MODELS.check_sample(SIDECAR, FILES | {"json": b"{}"}, "last")
    assert PERSON_MODELS.extensions(SIDECAR) == ("fbx", "0.png", "1.jpg", "json")
    assert PERSON_MODELS.keys(SIDECAR)[0] == "m_00007"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_id": 8}, "model_id is 8, but the last number in the name of its file is 7"),
        ({"model": "m/0.fbx"}, "model_id is 7, but the last number in the name of its file is None"),
        ({"identity": "8"}, "identity is '8', but by its other fields it is '7'"),
        ({"used": False}, "used is False"),
        ({"splits": {"p1": ["standby"]}}, "splits is"),
        ({"textures": 3}, "textures is 3, but by its other fields it is 2"),
        ({"files": SIDECAR.files[1:]}, "textures is 2, but by its other fields it is 1"),
        ({"files": [SIDECAR.files[1], *SIDECAR.files[1:]]}, "files is"),
        ({"files": [*SIDECAR.files[:2], SIDECAR.files[1]]}, "files: it names one twice"),
        ({"files": [*SIDECAR.files[:2], msgspec.structs.replace(SIDECAR.files[2], bytes=5)]}, "is 4 bytes of SHA-256"),
    ],
)
def test_a_field_that_contradicts_others_is_found(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        PERSON_MODELS.check_sample(msgspec.structs.replace(SIDECAR, **changes), FILES, "last")


def test_bytes_that_are_not_those_of_the_sidecar_are_found() -> None:
    with pytest.raises(SpecError, match=r"Texture/back\.jpg: is 4 bytes of SHA-256"):
        PERSON_MODELS.check_sample(SIDECAR, FILES | {"1.jpg": b"BACK"}, "last")


@pytest.mark.parametrize(
    ("path", "first", "last"),
    [
        ("a/00001.fbx", 1, 1),
        ("12/model.fbx", None, None),
        ("model_3_v2.FBX", 3, 2),
        ("45000.fbx", 45_000, 45_000),
        ("46000.fbx", 46_000, 46_000),
        ("46001.fbx", None, None),
        ("0.fbx", None, None),
        (f"{'9' * 5000}.fbx", None, None),
        ("7.fbx.1", 7, 7),
    ],
)
def test_the_id_is_a_number_in_the_files_name(path: str, first: int | None, last: int | None) -> None:
    assert (model_id_of(path, "first"), model_id_of(path, "last")) == (first, last)


def test_splits_follow_from_ids() -> None:
    assert [split_of(number) for number in (1, 45_000, 45_001, 46_000)] == ["used", "used", "standby", "standby"]


def test_extensions_say_what_a_texture_is() -> None:
    names = ["a.PNG", "b", "c.jpeg", "d.toolong", "e.ä", "f.tar.gz"]
    assert texture_extensions(names) == ["0.png", "1.bin", "2.jpeg", "3.bin", "4.bin", "5.gz"]


def test_the_number_is_decided_by_which_gives_more_ids() -> None:
    assert IdNumberEvidence(10, 9, 3).choice() == "first"
    assert IdNumberEvidence(10, 9, 9).choice() == "last"
    assert "Among 10 models, the first numbers give 9 different ids" in IdNumberEvidence(10, 9, 3).sentence()
