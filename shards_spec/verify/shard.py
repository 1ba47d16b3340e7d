"""Checks one shard: its digest, its tar, each of its samples, and its rows of the index."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from shards_spec.errors import SpecError
from shards_spec.images import ImageError, decode_jpeg
from shards_spec.index_read import IndexReader
from shards_spec.index_rows import FileSpan, IndexBuilder
from shards_spec.manifest import ShardFile
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.storage import Store, open_buffered, open_store
from shards_spec.tar import TarFile, read_tar
from shards_spec.variants import Variant
from shards_spec.variants.base import MORE_FILES_MAX, SIDECAR
from shards_spec.version import SPEC_VERSION

READ_BYTES = 4 * 2**20
"""Bytes that are read at a time. A check holds them in memory, besides one file and the rows of the index."""


class Fault(NamedTuple):
    """Something that contradicts the manifest or the specification."""

    file: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRules:
    """What each sample of a cell must be."""

    variant: Variant
    splits: dict[str, list[str]]
    """The sorted splits that the cell stands for, by protocol."""
    own: Any
    """What the variant's check must know of the manifest: the result of ``Variant.rules``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCheck:
    """Everything that a process must know to check a shard."""

    url: str
    shard: ShardFile
    number: int
    """The number in the shard's file name."""
    rules: SampleRules
    index_file: str
    row_group: int
    """The shard's row group in the index; -1 if the index itself has a fault, so that it is not compared."""
    row_groups: int
    """Number of row groups in the index."""


class SequentialFile:
    """A file of a store, read from its start to its end, with its digest."""

    def __init__(self, store: Store, file: str) -> None:
        self._store = store
        self._file = file
        self._buffer = memoryview(b"")
        self._size = store.size(file)
        self._read = 0
        self.sha256 = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """The next ``size`` bytes, or fewer at the end."""
        if size > len(self._buffer) and self._read < self._size:
            stop = min(self._size, self._read + max(READ_BYTES, size - len(self._buffer)))
            fresh = self._store.read(self._file, self._read, stop)
            self.sha256.update(fresh)
            self._read = stop
            self._buffer = memoryview(bytes(self._buffer) + fresh)
        data = bytes(self._buffer[:size])
        self._buffer = self._buffer[size:]
        return data

    def drain(self) -> None:
        """Read the rest of the file for the digest."""
        while self.read(READ_BYTES):
            pass


def check_shard(check: ShardCheck) -> Fault | None:
    """Check a shard; return its first fault."""
    try:
        _check_shard(open_store(check.url), check)
    except FileNotFoundError:
        return Fault(check.shard.file, "is missing")
    except (OSError, EOFError, SpecError) as error:
        return Fault(check.shard.file, str(error))
    return None


def _check_shard(store: Store, check: ShardCheck) -> None:
    shard = check.shard
    size = store.size(shard.file)
    if size != shard.bytes:
        raise SpecError(f"is {size} bytes, but the manifest says {shard.bytes}")
    source = SequentialFile(store, shard.file)
    rows = _check_samples(source, check)
    source.drain()
    if source.sha256.hexdigest() != shard.sha256:
        raise SpecError(f"its SHA-256 is {source.sha256.hexdigest()}, but the manifest says {shard.sha256}")
    if check.row_group >= 0:
        _compare_rows(rows, _read_rows(store, check))


def _check_samples(source: SequentialFile, check: ShardCheck) -> pa.Table:
    """Check each sample; return the rows that the index must have."""
    variant = check.rules.variant
    builder = IndexBuilder(variant, list(check.rules.splits))
    names: set[str] = set()
    units = samples = 0
    unit: list[Any] = []
    for key, files in _samples(read_tar(source), variant):
        try:
            sidecar = check_sample(key, {extension: file.data for extension, file in files.items()}, check.rules)
        except SpecError as error:
            raise SpecError(f"{key}: {error}") from error
        name = _unit_name(sidecar, variant)
        if not unit or name is None or _unit_name(unit[0], variant) != name:
            _check_unit(unit, variant)
            if name in names:
                raise SpecError(f"{key}: samples of {variant.unit} {name} do not stand together")
            if name is not None:
                names.add(name)
            unit = []
            units += 1
        unit.append(sidecar)
        samples += 1
        spans = {
            extension: FileSpan(file.offset, len(file.data), crc32(file.data)) for extension, file in files.items()
        }
        builder.add(key, check.number, units - 1, sidecar, spans)
    _check_unit(unit, variant)
    if (samples, units) != (check.shard.samples, check.shard.units):
        raise SpecError(
            f"holds {samples} samples of {units} units, but the manifest says {check.shard.samples} of "
            f"{check.shard.units}"
        )
    return builder.table()


def _samples(files: Iterator[TarFile], variant: Variant) -> Iterator[tuple[str, dict[str, TarFile]]]:
    """Yield the key of each sample and its files by extension, the sidecar as the last one."""
    for first in files:
        if not first.name.endswith(f".{variant.files[0]}"):
            raise SpecError(f"{first.name}: a sample begins with its .{variant.files[0]}")
        key = first.name.removesuffix(f".{variant.files[0]}")
        found = {variant.files[0]: first}
        last = first
        while SIDECAR not in found:
            following = next(files, None)
            stem, _, extension = ("", "", "") if following is None else following.name.partition(".")
            expected = variant.files[len(found)] if len(found) < len(variant.files) else SIDECAR
            if variant.has_more_files and len(found) >= len(variant.files):
                room = len(found) < len(variant.files) + MORE_FILES_MAX
                is_right = stem == key and extension not in found and (room or extension == SIDECAR)
            else:
                is_right = stem == key and extension == expected
            if following is None or not is_right:
                what = "the end" if following is None else following.name
                raise SpecError(f"{last.name}: {what} follows, not {key}.{expected}")
            found[extension] = last = following
        yield key, found


def check_sample(key: str, files: Mapping[str, bytes], rules: SampleRules) -> Any:
    """Check a sample by itself; return its sidecar.

    Args:
        key: Key of the sample.
        files: Its files by extension, in their order.
        rules: What a sample of its cell must be.

    Raises:
        SpecError: It is not what the format says.
    """
    variant = rules.variant
    sidecar = decode_sidecar(files[SIDECAR], variant)
    if encode_sidecar(sidecar) != files[SIDECAR]:
        raise SpecError("the sidecar is not in the spec's form (white space, order of its fields, or numbers)")
    if sidecar.spec != SPEC_VERSION:
        raise SpecError(f"spec is {sidecar.spec!r}, not {SPEC_VERSION!r}")
    extensions = variant.extensions(sidecar)
    if tuple(files) != extensions:
        raise SpecError(f"its files are {', '.join(files)}, but its sidecar says {', '.join(extensions)}")
    if variant.image is not None:
        size = _decoded_size(files[variant.image])
        if size != sidecar.image_size:
            raise SpecError(f"the image is {size[0]}x{size[1]} pixels, but its sidecar says {list(sidecar.image_size)}")
    if key not in variant.keys(sidecar):
        raise SpecError(f"by its sidecar, its key is {' or '.join(variant.keys(sidecar))}")
    if list(sidecar.splits.items()) != list(rules.splits.items()):
        raise SpecError(f"its splits are {sidecar.splits}, but the cell's are {rules.splits}")
    variant.check_sample(sidecar, files, rules.own)
    return sidecar


def _unit_name(sidecar: Any, variant: Variant) -> str | None:
    """Return what names a sample's unit; None if the sample is a unit of its own."""
    return None if variant.unit_field is None else getattr(sidecar, variant.unit_field)


def _check_unit(sidecars: Sequence[Any], variant: Variant) -> None:
    """Check that the samples of one unit agree with each other."""
    if sidecars:
        try:
            variant.check_unit(sidecars)
        except SpecError as error:
            raise SpecError(f"{variant.unit} {_unit_name(sidecars[0], variant)}: {error}") from error


def _decoded_size(data: bytes) -> tuple[int, int]:
    """Decode a JPEG; return its width and height."""
    try:
        return decode_jpeg(data).size
    except ImageError as error:
        raise SpecError(f"the image cannot be decoded: {error}") from error


def _read_rows(store: Store, check: ShardCheck) -> pa.Table:
    with open_buffered(store, check.index_file) as file, IndexReader(file, check.row_groups) as index:
        return index.read(check.row_group, check.shard)


def _compare_rows(expected: pa.Table, found: pa.Table) -> None:
    """Raise an error for the first value of the index that contradicts the tar."""
    if expected.equals(found):
        return
    if expected.num_rows != found.num_rows:
        raise SpecError(f"the index has {found.num_rows} rows for its {expected.num_rows} samples")
    for name in expected.column_names:
        pairs = zip(expected[name].to_pylist(), found[name].to_pylist(), strict=True)
        for row, (wanted, there) in enumerate(pairs):
            if wanted != there:
                key = expected["key"][row].as_py()
                raise SpecError(f"{key}: the index says {name} {there}, but the shard {wanted}")
    raise SpecError("the index differs from the shard")
