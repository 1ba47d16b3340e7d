import hashlib

import numpy as np
import pyarrow as pa
import pytest

from pipeline.plan.digest import digest_arrays, digest_json, digest_table


def table(**changes: object) -> pa.Table:
    columns: dict[str, object] = {
        "text": ["a", "bc", "", "def"],
        "number": pa.array([1, 2, 3, 4], pa.int32()),
        "lists": pa.array([[1.0], [], [2.0, 3.0], [4.0]], pa.list_(pa.float64())),
        "unsigned": pa.array([1, 2, 3, 4], pa.uint16()),
    }
    return pa.table(columns | changes)


def test_chunks_and_slices_do_not_matter() -> None:
    whole = table()
    padded = pa.concat_tables([whole, whole, whole])
    for same in (
        pa.concat_tables([whole.slice(0, 1), whole.slice(1, 0), whole.slice(1, 3)]),
        padded.slice(4, 4),
        padded.combine_chunks().slice(4, 4),
        padded.combine_chunks().slice(8),
        whole.take([0, 1, 2, 3]),
    ):
        assert digest_table(same) == digest_table(whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": ["a", "b", "c", "def"]},
        {"text": ["", "abc", "", "def"]},
        {"number": pa.array([1, 2, 3, 5], pa.int32())},
        {"number": pa.array([1, 2, 3, 4], pa.int64())},
        {"lists": pa.array([[], [1.0], [2.0, 3.0], [4.0]], pa.list_(pa.float64()))},
        {"lists": pa.array([[1.0], [], [2.0, 3.5], [4.0]], pa.list_(pa.float64()))},
        {"more": [1, 2, 3, 4]},
    ],
)
def test_every_value_length_and_type_matters(changes: dict[str, object]) -> None:
    assert digest_table(table(**changes)) != digest_table(table())


def test_names_order_and_number_of_rows_matter() -> None:
    whole = table()
    renamed = whole.rename_columns(["a", *whole.column_names[1:]])
    swapped = whole.select(whole.column_names[::-1])
    assert len({digest_table(other) for other in (whole, renamed, swapped, whole.slice(1), whole.slice(0, 0))}) == 5


def test_it_does_not_matter_how_strings_are_kept() -> None:
    whole = table()
    codes = whole["text"].dictionary_encode()
    other_codes = pa.DictionaryArray.from_arrays(pa.array([3, 1, 0, 2], pa.int8()), pa.array(["", "bc", "def", "a"]))
    for same in (whole["text"].cast(pa.large_string()), codes, other_codes, pa.chunked_array([codes.chunk(0)])):
        assert digest_table(whole.set_column(0, "text", same)) == digest_table(whole)
        assert digest_table(whole.set_column(0, "text", same).slice(1, 2)) == digest_table(whole.slice(1, 2))


def test_nulls_differ_from_empty_strings_and_zeros_and_have_one_form() -> None:
    texts, numbers = pa.array(["a", None, "", "c"]), pa.array([1, None, 0, 2], pa.int32())
    digest = digest_table(table(text=texts, number=numbers))
    for other in (
        {"text": texts.fill_null(""), "number": numbers},
        {"text": texts, "number": numbers.fill_null(0)},
        {"text": ["a", "", None, "c"], "number": numbers},
        {"text": pa.array(["a", None, "", "d"]), "number": numbers},
    ):
        assert digest_table(table(**other)) != digest
    valid = pa.py_buffer(np.packbits([1, 0, 1, 1], bitorder="little").tobytes())
    odd = pa.Array.from_buffers(pa.int32(), 4, [valid, pa.py_buffer(np.array([1, 77, 0, 2], np.int32))])
    for same in (
        {"text": texts.cast(pa.large_string()), "number": odd},
        {"text": texts.dictionary_encode(), "number": pa.concat_arrays([numbers[:2], numbers[2:]])},
        {"text": pa.chunked_array([texts[:1], texts[1:]]), "number": numbers},
    ):
        assert digest_table(table(**same)) == digest


def test_null_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="1 nulls in a column of list"):
        digest_table(table(lists=pa.array([[1.0], None, [2.0], []], pa.list_(pa.float64()))))


def test_lists_of_strings_count_with_their_values_lengths_and_nulls() -> None:
    words = pa.array([["a", "bc"], [], [None, "d"], ["", "e"]], pa.list_(pa.string()))
    digest = digest_table(table(lists=words))
    for other in (
        [["ab", "c"], [], [None, "d"], ["", "e"]],
        [["a"], ["bc"], [None, "d"], ["", "e"]],
        [["a", "bc"], [], ["", "d"], [None, "e"]],
        [["a", "bc"], [], [None, "d"], ["", "f"]],
    ):
        assert digest_table(table(lists=pa.array(other, pa.list_(pa.string())))) != digest
    large = words.cast(pa.list_(pa.large_string()))
    for same in (large, pa.chunked_array([words[:1], words[1:]]), pa.concat_arrays([large, large])[4:]):
        assert digest_table(table(lists=same)) == digest


def test_arrays_are_hashed_as_little_endian_64_bit_integers() -> None:
    arrays = [np.array([1, 2]), np.array([], np.int64), np.arange(6)[::2]]
    expected = b"".join(number.to_bytes(8, "little") for number in (1, 2, 0, 2, 4))
    assert digest_arrays(arrays) == hashlib.sha256(expected).hexdigest()


def test_the_order_of_keys_does_not_matter_to_json() -> None:
    assert digest_json({"a": 1, "b": [1.5, None]}) == digest_json({"b": [1.5, None], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})
