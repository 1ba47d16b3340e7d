"""Keys of samples that are named by paths."""

import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import SpecError
from shards_spec.keys import KEY_PATTERN, check_key, keys_of_paths, path_key, path_keys


@pytest.mark.parametrize(
    ("path", "box", "key"),
    [
        ("0000000001/a.jpg", None, "0000000001_a"),
        ("query/000028311/000028311_c2_2.jpg", None, "query_000028311_000028311_c2_2"),
        ("frames/s1.png", "17", "frames_s1_b17"),
        ("noextension", None, "noextension"),
        ("a" * 86 + ".jpg", None, "a" * 86),
    ],
)
def test_a_path_that_a_key_can_spell_is_spelled(path: str, box: str | None, key: str) -> None:
    assert path_key(path, box) == key


@pytest.mark.parametrize(
    ("path", "box", "key"),
    [
        ("a b/ü.jpg", None, "ab_-"),
        ("a.b.jpg", "x/1", "ab_bx1-"),
        ("b" * 200 + ".jpg", None, "b" * 70 + "-"),
        ("ü.jpg", None, "-"),
    ],
)
def test_any_other_path_has_a_digest(path: str, box: str | None, key: str) -> None:
    made = path_key(path, box)
    assert re.fullmatch(re.escape(key.partition("-")[0]) + "-[0-9a-f]{16}", made)
    assert path_keys(path, box)[1] == made
    assert check_key(made) == made


def test_a_key_that_is_not_unique_has_a_digest() -> None:
    assert path_key("a/b.jpg") == path_key("a_b.jpg")
    first, second = (path_key(path, is_unique=False) for path in ("a/b.jpg", "a_b.jpg"))
    assert first != second
    assert first.startswith("a_b-")


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.none() | st.text(st.characters(codec="utf-8")))
def test_every_path_has_a_key_that_matches_the_pattern_and_is_one_of_its_forms(path: str, box: str | None) -> None:
    for is_unique in (True, False):
        made = path_key(path, box, is_unique=is_unique)
        assert re.fullmatch(KEY_PATTERN, made)
        assert made in path_keys(path, box)


PATHS = st.lists(st.from_regex(r"[a-z0-9_/-]{1,8}\.[a-z0-9]{1,3}", fullmatch=True) | st.text(max_size=100))


@given(PATHS, st.data())
def test_keys_of_many_paths_are_those_of_each(paths: list[str], data: st.DataObject) -> None:
    flags = st.lists(st.integers(0, 1), min_size=len(paths), max_size=len(paths))
    unique = data.draw(st.just([1] * len(paths)) | flags)
    expected = [path_key(path, is_unique=bool(one)) for path, one in zip(paths, unique, strict=True)]
    assert keys_of_paths(paths, unique) == expected


def test_what_is_no_key_is_said() -> None:
    for key in ("", "a.b", "a" * 91, "ü", "a\n"):
        with pytest.raises(SpecError, match="is no key"):
            check_key(key)


@given(st.text("ab./", min_size=1))
def test_a_key_lacks_what_the_standard_library_calls_the_extension(path: str) -> None:
    assert path_keys(path)[0] == posixpath.splitext(path)[0].replace("/", "_")
