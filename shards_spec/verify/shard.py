"""Checks one shard: its digest, its tar, each of its samples, and its rows of the index."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from shards_spec.errors import SpecError
from shards_spec.images import ImageError, decode_jpeg
from shards_spec.index import IndexBuilder, Placement
from shards_spec.index_read import IndexReader
from shards_spec.manifest import ShardFile
from shards_spec.sidecar import (
    IMAGE_EXTENSION,
    SIDECAR_EXTENSION,
    Sidecar,
    decode_sidecar,
    encode_sidecar,
)
from shards_spec.storage import Store, open_buffered, open_store
from shards_spec.tar import TarMember, read_tar
from shards_spec.verify.sample import SampleRules, check_sidecar

READ_BYTES = 4 * 2**20
"""Bytes that are read at a time. A check holds them in memory, besides one file and the rows of the index."""


class Fault(NamedTuple):
    """Something that contradicts the manifest or the specification."""

    file: str
    what: str


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
    builder = IndexBuilder(list(check.rules.splits))
    frames: set[str] = set()
    samples = 0
    of_frame: list[Sidecar] = []
    for image, text in _pairs(read_tar(source)):
        key = image.name.removesuffix(IMAGE_EXTENSION)
        try:
            sidecar = _check_sample(key, image.data, text.data, check.rules)
        except SpecError as error:
            raise SpecError(f"{key}: {error}") from error
        if not of_frame or of_frame[0].frame != sidecar.frame:
            _check_frame(of_frame)
            if sidecar.frame in frames:
                raise SpecError(f"{key}: crops of frame {sidecar.frame} do not stand together")
            frames.add(sidecar.frame)
            of_frame = []
        of_frame.append(sidecar)
        samples += 1
        placement = Placement(
            image.offset, len(image.data), crc32(image.data), text.offset, len(text.data), crc32(text.data)
        )
        builder.add(key, check.number, len(frames) - 1, sidecar, placement)
    _check_frame(of_frame)
    if (samples, len(frames)) != (check.shard.samples, check.shard.units):
        raise SpecError(
            f"holds {samples} samples of {len(frames)} frames, but the manifest says {check.shard.samples} of "
            f"{check.shard.units}"
        )
    return builder.table()


def _pairs(members: Iterator[TarMember]) -> Iterator[tuple[TarMember, TarMember]]:
    for image in members:
        if not image.name.endswith(IMAGE_EXTENSION):
            raise SpecError(f"{image.name}: a sample begins with its {IMAGE_EXTENSION}")
        text = next(members, None)
        expected = image.name.removesuffix(IMAGE_EXTENSION) + SIDECAR_EXTENSION
        if text is None or text.name != expected:
            raise SpecError(f"{image.name}: {'the end' if text is None else text.name} follows, not {expected}")
        yield image, text


def _check_sample(key: str, image: bytes, text: bytes, rules: SampleRules) -> Sidecar:
    sidecar = decode_sidecar(text)
    if encode_sidecar(sidecar) != text:
        raise SpecError("the sidecar is not in the spec's form (white space, order of its fields, or numbers)")
    size = _decoded_size(image)
    if size != sidecar.image_size:
        raise SpecError(f"the image is {size[0]}x{size[1]} pixels, but its sidecar says {list(sidecar.image_size)}")
    check_sidecar(key, sidecar, image, rules)
    return sidecar


def _check_frame(sidecars: Sequence[Sidecar]) -> None:
    """Check that the crops of one frame agree with each other."""
    if not sidecars:
        return
    frame = sidecars[0].frame
    persons = [sidecar.person_id for sidecar in sidecars]
    if any(sidecar.members != len(sidecars) for sidecar in sidecars):
        raise SpecError(f"frame {frame}: has {len(sidecars)} crops, but its sidecars say {sidecars[0].members} members")
    if sorted(set(persons)) != persons:
        raise SpecError(f"frame {frame}: its persons are not in rising order: {persons}")
    if len({(s.frame_size, s.encoding) for s in sidecars}) != 1:
        raise SpecError(f"frame {frame}: its sidecars differ in frame size or encoding")


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
