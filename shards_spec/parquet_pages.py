"""The unpacked size of a column of a Parquet file, found without unpacking it.

PyArrow allocates what a page's header claims, without a limit: a page of 33 kB can hold a string of 1 GB, and one of 5
bytes can hold a billion values. So the headers, which are structs of Thrift's compact protocol, are examined first.
"""

from typing import Any, BinaryIO, NamedTuple

from shards_spec.errors import SpecError

_HEADER_BYTES = 256
"""Bytes of a header that are read at first; few headers are longer."""
_LONGEST_HEADER_BYTES = 64 * 1024
_DEEPEST = 4
"""Deepest nesting of structs."""

# Fields of a PageHeader and of the headers that it contains.
_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE, _DATA, _DICTIONARY, _DATA_V2 = 2, 3, 5, 7, 8
_VALUES = 1
_ENCODINGS = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}

_DELTA_BYTE_ARRAY = 7
"""An encoding in which a string that resembles the one before it costs only a byte."""

_Struct = dict[int, Any]


class ColumnExtent(NamedTuple):
    """The unpacked size of a column of a row group."""

    bytes: int
    values: int


def measure_column(file: BinaryIO, chunk: Any) -> ColumnExtent:
    """Examine the pages of a column of a row group.

    Args:
        file: The Parquet file.
        chunk: The column's metadata from PyArrow.

    Raises:
        SpecError: The pages are not what the metadata says, or have an encoding whose headers tell nothing.
    """
    place = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None and 0 < chunk.dictionary_page_offset < place:
        place = chunk.dictionary_page_offset
    stop = place + chunk.total_compressed_size
    total = values = 0
    while place < stop:
        header, length = _read_header(file, place)
        size, packed = _number(header, _UNCOMPRESSED_SIZE, -1), _number(header, _COMPRESSED_SIZE, -1)
        if size < 0 or packed < 0:
            raise SpecError(f"the page at byte {place} has no size")
        total += size
        for kind, encoding in _ENCODINGS.items():
            page = header.get(kind, {})
            if not isinstance(page, dict):
                raise SpecError(f"the header of the page at byte {place} holds a number in the place of a struct")
            values += abs(_number(page, _VALUES, 0))
            if page.get(encoding) == _DELTA_BYTE_ARRAY:
                raise SpecError(
                    f"the page at byte {place} is encoded by DELTA_BYTE_ARRAY, and nothing tells its unpacked size: "
                    "write the file with another encoding"
                )
        place += length + packed
    if place != stop:
        raise SpecError(f"its pages end at byte {place}, but its metadata says {stop}")
    return ColumnExtent(total, values)


def _number(fields: _Struct, field: int, default: int) -> int:
    """Return a number of a struct; raise ``SpecError`` if its field holds a struct."""
    value = fields.get(field, default)
    if not isinstance(value, int):
        raise SpecError(f"field {field} of a page's header holds a struct in the place of a number")
    return value


def _read_header(file: BinaryIO, place: int) -> tuple[_Struct, int]:
    """Return the header of the page at a position, and its length."""
    size = _HEADER_BYTES
    while size <= _LONGEST_HEADER_BYTES:
        file.seek(place)
        data = file.read(size)
        try:
            header, length = _parse_struct(data, 0, 0)
        except IndexError:  # the header is longer, or the file ends here
            if len(data) < size:
                break
            size *= 16
        else:
            if length <= len(data):
                return header, length
            break
    raise SpecError(f"there is no page at byte {place}")


def _parse_struct(data: bytes, place: int, depth: int) -> tuple[_Struct, int]:
    """Return the fields of a struct that are numbers or structs, by field number, and where the struct ends.

    Raises:
        IndexError: The data ends before the struct does.
        SpecError: No header of a page could hold this struct.
    """
    fields: _Struct = {}
    number = 0
    while data[place]:
        step, kind = divmod(data[place], 16)
        place += 1
        if step == 0:
            step, place = _parse_integer(data, place)
            number = 0
        number += step
        match kind:
            case 1 | 2:  # true or false
                pass
            case 3:
                place += 1
            case 4 | 5 | 6:
                fields[number], place = _parse_integer(data, place)
            case 7:
                place += 8
            case 8:
                length, place = _parse_varint(data, place)
                place += length
            case 12 if depth < _DEEPEST:
                fields[number], place = _parse_struct(data, place, depth + 1)
            case _:
                raise SpecError("a page's header holds what it must not")
    return fields, place + 1


def _parse_integer(data: bytes, place: int) -> tuple[int, int]:
    value, place = _parse_varint(data, place)
    return (value >> 1) ^ -(value & 1), place


def _parse_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise SpecError("a page's header holds a number without end")
