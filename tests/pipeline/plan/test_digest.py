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


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="1 nulls in a column of string"):
        digest_table(table(text=["a", None, "b", "c"]))


def test_arrays_are_hashed_as_little_endian_64_bit_integers() -> None:
    arrays = [np.array([1, 2]), np.array([], np.int64), np.arange(6)[::2]]
    expected = b"".join(number.to_bytes(8, "little") for number in (1, 2, 0, 2, 4))
    assert digest_arrays(arrays) == hashlib.sha256(expected).hexdigest()


def test_the_order_of_keys_does_not_matter_to_json() -> None:
    assert digest_json({"a": 1, "b": [1.5, None]}) == digest_json({"b": [1.5, None], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})
