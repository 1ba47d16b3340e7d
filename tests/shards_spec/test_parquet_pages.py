"""The unpacked size of a column of a Parquet file."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards_spec.errors import SpecError
from shards_spec.parquet_pages import measure_column

ROWS = 40
TABLE = pa.table({"text": [f"text {number}" for number in range(ROWS)], "number": [7] * ROWS})


def written(*, has_dictionaries: bool) -> bytes:
    file = io.BytesIO()
    pq.write_table(TABLE, file, use_dictionary=has_dictionaries, compression="zstd")
    return file.getvalue()


@pytest.mark.parametrize("has_dictionaries", [False, True])
def test_what_pages_unpack_to(has_dictionaries: bool) -> None:
    data = written(has_dictionaries=has_dictionaries)
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    text, number = (measure_column(io.BytesIO(data), group.column(column)) for column in range(2))
    assert (text.values, number.values) == ((2 * ROWS, ROWS + 1) if has_dictionaries else (ROWS, ROWS))
    assert text.bytes > sum(len(value) for value in TABLE["text"].to_pylist())
    assert number.bytes <= group.column(1).total_uncompressed_size


@pytest.mark.parametrize("has_dictionaries", [False, True])
def test_headers_with_any_byte_changed_are_measured_or_refused(has_dictionaries: bool) -> None:
    data = written(has_dictionaries=has_dictionaries)
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    refusals = set()
    for column in range(2):
        chunk = group.column(column)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        for place in range(start, start + chunk.total_compressed_size):
            for value in range(256):
                changed = data[:place] + bytes([value]) + data[place + 1 :]
                try:
                    extent = measure_column(io.BytesIO(changed), chunk)
                except SpecError as error:
                    refusals.add(str(error).partition(" byte")[0])
                else:
                    assert extent.bytes >= 0
                    assert extent.values >= 0
    assert len(refusals) > 3
