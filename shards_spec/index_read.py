"""Reading an untrusted index.

A Parquet file of a few kilobytes can unpack to any size. Reading an index takes no more memory than the shards that it
describes could fill. The file's metadata and the headers of its pages are checked for this before any value is
unpacked.
"""

import contextlib
import io
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards_spec.errors import SpecError
from shards_spec.manifest import ShardFile
from shards_spec.parquet_pages import measure_column
from shards_spec.storage import ReadableStore, read_ahead
from shards_spec.tar import BLOCK
from shards_spec.variants.base import MORE_FILES, MORE_FILES_MAX

SAMPLE_BYTES = 4 * BLOCK
"""Least number of bytes that a sample takes in a shard: two files that are not empty, or three of which the sidecar is
not, each with a header."""
LONGEST_STRING = 1024
"""Most bytes of a string. Keys and their parts are much shorter."""
_VALUES = 16
"""Most values that a row of a list column may hold on average."""
_VALUES_OF_FILES = _VALUES + MORE_FILES_MAX
"""The same where the number of a sample's files varies."""
_PAGE_ROOM = 64 * 1024
"""Bytes that a column may take in addition to ``LONGEST_STRING`` for each row."""
_FOOTER_ROOM, _FOOTER_ROOM_A_SHARD = 256 * 1024, 32 * 1024
"""Most bytes of the metadata, in all and for each shard: about six times what this project's writer needs."""
_METADATA_STRING = 2**20
_TAIL = 8  # the length of the metadata, and four letters


class IndexReader:
    """An open index. The caller must check the names and types of its columns.

    Args:
        file: The index. Over a network it should be buffered, because it is also read in small pieces.
        shards: The number of shards that it must describe.

    Raises:
        SpecError: It is not a Parquet file, or describes another number of shards.
    """

    def __init__(self, file: BinaryIO, shards: int) -> None:
        self._file = file
        _check_footer(file, shards)
        limits: dict[str, int] = {
            "thrift_string_size_limit": _METADATA_STRING,
            "thrift_container_size_limit": max(1000, shards),
        }
        with _translated("cannot be read"):
            plain = pq.ParquetFile(file, **limits)
            self.schema: pa.Schema = plain.schema_arrow
            self.metadata: Any = plain.metadata
            # Strings are read as dictionaries, so that a repeated string is unpacked once, after its length was
            # checked.
            columns = map(plain.schema.column, range(len(plain.schema)))
            strings = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
            self._parquet = pq.ParquetFile(file, metadata=self.metadata, read_dictionary=strings, **limits)
        self._has_more_files = f"{MORE_FILES}_offset" in self.schema.names
        if self.metadata.num_row_groups != shards:
            raise SpecError(f"{self.metadata.num_row_groups} row groups for {shards} shards")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()

    def read(self, group: int, shard: ShardFile, columns: Iterable[str] | None = None) -> pa.Table:
        """Read the rows of a shard.

        Args:
            group: The shard's position among the cell's shards.
            shard: What the manifest says about the shard.
            columns: Names of the columns to read; None for all.

        Raises:
            SpecError: The rows are not as many as the manifest says, more than the shard has room for, cannot be read,
                or unpack to more than so many rows may take.
        """
        rows = self.metadata.row_group(group).num_rows
        if rows != shard.samples:
            raise SpecError(f"{rows} rows for {shard.file}, but the manifest says {shard.samples}")
        if rows * SAMPLE_BYTES > shard.bytes:
            raise SpecError(f"{rows} rows for {shard.file}, whose {shard.bytes} bytes cannot hold as many samples")
        with _translated(f"row group {group} cannot be read"):
            names = self.schema.names if columns is None else list(columns)
            self._check_columns(self.metadata.row_group(group), set(names), shard)
            table = self._parquet.read_row_group(group, columns=names, use_threads=False)
            for column in table.columns:
                for chunk in column.chunks:
                    _check_strings(chunk)
            return table.cast(pa.schema([self.schema.field(name) for name in names]))

    def _check_columns(self, group: Any, names: Container[str], shard: ShardFile) -> None:
        rows = group.num_rows
        strings, values = rows, _VALUES * rows
        if self._has_more_files:  # each takes a block of the shard at least
            strings = values = max(values, min(_VALUES_OF_FILES * rows, shard.bytes // BLOCK))
        for number in range(group.num_columns):
            chunk = group.column(number)
            if chunk.path_in_schema.partition(".")[0] not in names:
                continue
            extent = measure_column(self._file, chunk)
            # A value may count twice: in a dictionary, and where it stands.
            if extent.bytes > strings * LONGEST_STRING + _PAGE_ROOM or extent.values > 2 * values:
                raise SpecError(
                    f"column {chunk.path_in_schema}: {extent.values:,} values of {extent.bytes:,} bytes are more than "
                    f"{rows:,} rows may take"
                )


def check_capacity(store: ReadableStore, shards: Sequence[ShardFile]) -> None:
    """Check that the shards' files are as large as their samples need.

    The sizes in the manifest cannot be trusted. The store is only asked for sizes until they suffice for all samples,
    usually after a quarter of the shards. Single shards that are missing or truncated are found when they are read.

    Raises:
        SpecError: The shards are too small.
        OSError: The store cannot say.
    """

    def size(file: str) -> int:
        try:
            return store.size(file)
        except FileNotFoundError:
            return 0

    needed = sum(shard.samples for shard in shards) * SAMPLE_BYTES
    found = 0
    for one in read_ahead(size, (shard.file for shard in shards), store.reads_at_once):
        found += one
        if found >= needed:
            return
    if found < needed:
        raise SpecError(
            f"{needed // SAMPLE_BYTES:,} samples in {len(shards):,} shards of {found:,} bytes in all, which cannot "
            "hold as many: verify the set, and copy it anew"
        )


def _check_footer(file: BinaryIO, shards: int) -> None:
    """Check the length of the metadata, which take a hundred times as much memory when they are unpacked."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if len(tail) == _TAIL and length > _FOOTER_ROOM + shards * _FOOTER_ROOM_A_SHARD:
        raise SpecError(f"its metadata of {length:,} bytes are too long for {shards:,} shards")


def _check_strings(array: pa.Array) -> None:
    """Raise an error if a string of a column is no text, or too long to be copied into each row."""
    if pa.types.is_list(array.type):
        array = array.values
    if pa.types.is_dictionary(array.type):
        longest = pc.max(pc.binary_length(array.dictionary)).as_py() or 0
        if longest > LONGEST_STRING:
            raise SpecError(f"it has a string of {longest:,} bytes; {LONGEST_STRING:,} at most")
        array.dictionary.validate(full=True)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn errors that PyArrow reports about a file into ``SpecError``."""
    try:
        yield
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:  # ValueError: names are not UTF-8
        raise SpecError(f"{what}: {error}") from error
