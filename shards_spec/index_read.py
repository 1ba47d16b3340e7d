"""Reading an index that a stranger may have written.

A Parquet file of some kilobytes can unfold to any size. What is read here takes no more memory than the shards that it
describes could fill, which is checked by the file's metadata and by its pages' headers before any value is unpacked.
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

SAMPLE_BYTES = 4 * BLOCK
"""The least that a sample takes in a shard: the headers and a block each of two members."""
LONGEST_STRING = 1024
"""Bytes. Keys and what they are made of are much shorter."""
_SPLITS = 16
"""Values that a row of a list column may hold on average."""
_PAGE_ROOM = 64 * 1024
"""Bytes that a column may take beyond ``LONGEST_STRING`` a row."""
_FOOTER_ROOM, _FOOTER_ROOM_A_SHARD = 256 * 1024, 32 * 1024
"""Bytes that the metadata may take: about six times what this project's writer needs."""
_METADATA_STRING = 2**20
_TAIL = 8  # length of the metadata, and four letters


class IndexReader:
    """An index, opened. Its columns' names and types are for the caller to check.

    Args:
        file: The index. Over a network it had better be buffered, because it is read in small pieces, too.
        shards: How many shards it must describe.

    Raises:
        SpecError: It is no Parquet file, or describes another number of shards.
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
            # As dictionaries: a string that comes back in every row is unpacked once, and its length is seen first.
            columns = map(plain.schema.column, range(len(plain.schema)))
            strings = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
            self._parquet = pq.ParquetFile(file, metadata=self.metadata, read_dictionary=strings, **limits)
        if self.metadata.num_row_groups != shards:
            raise SpecError(f"{self.metadata.num_row_groups} row groups for {shards} shards")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()

    def read(self, group: int, shard: ShardFile, columns: Iterable[str] | None = None) -> pa.Table:
        """The rows of a shard.

        Args:
            group: The shard's place among the cell's.
            shard: What the manifest says of it.
            columns: Names of the columns to read; None for all.

        Raises:
            SpecError: They are not as many as the manifest says, more than the shard has room for, or cannot be read,
                or they unpack to more than so many rows may take.
        """
        rows = self.metadata.row_group(group).num_rows
        if rows != shard.samples:
            raise SpecError(f"{rows} rows for {shard.file}, but the manifest says {shard.samples}")
        if rows * SAMPLE_BYTES > shard.bytes:
            raise SpecError(f"{rows} rows for {shard.file}, whose {shard.bytes} bytes cannot hold as many samples")
        with _translated(f"row group {group} cannot be read"):
            names = self.schema.names if columns is None else list(columns)
            self._check_columns(self.metadata.row_group(group), set(names))
            table = self._parquet.read_row_group(group, columns=names, use_threads=False)
            for column in table.columns:
                for chunk in column.chunks:
                    _check_strings(chunk)
            return table.cast(pa.schema([self.schema.field(name) for name in names]))

    def _check_columns(self, group: Any, names: Container[str]) -> None:
        rows = group.num_rows
        for number in range(group.num_columns):
            chunk = group.column(number)
            if chunk.path_in_schema.partition(".")[0] not in names:
                continue
            extent = measure_column(self._file, chunk)
            if extent.bytes > rows * LONGEST_STRING + _PAGE_ROOM or extent.values > 2 * _SPLITS * rows:
                raise SpecError(
                    f"column {chunk.path_in_schema}: {extent.values:,} values of {extent.bytes:,} bytes are more than "
                    f"{rows:,} rows may take"
                )


def check_capacity(store: ReadableStore, shards: Sequence[ShardFile]) -> None:
    """Check that shards are as large as their samples need, by the files themselves.

    The manifest may say anything of their sizes. Shards are asked for theirs only until they can hold all samples; a
    fourth of them does as a rule. Single ones that are missing or cut off are for whoever reads them to find.

    Raises:
        SpecError: They are smaller.
        OSError: The store does not say.
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
    """Check how long the metadata are: unpacked they take a hundred times as much."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if len(tail) == _TAIL and length > _FOOTER_ROOM + shards * _FOOTER_ROOM_A_SHARD:
        raise SpecError(f"its metadata of {length:,} bytes are too long for {shards:,} shards")


def _check_strings(array: pa.Array) -> None:
    """Raise where a string of a column is too long to be copied into each row."""
    if pa.types.is_list(array.type):
        array = array.values
    if pa.types.is_dictionary(array.type):
        longest = pc.max(pc.binary_length(array.dictionary)).as_py() or 0
        if longest > LONGEST_STRING:
            raise SpecError(f"it has a string of {longest:,} bytes; {LONGEST_STRING:,} at most")


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Raise what PyArrow reports of a file as a ``SpecError``."""
    try:
        yield
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:  # names that are not UTF-8 are a ValueError
        raise SpecError(f"{what}: {error}") from error
