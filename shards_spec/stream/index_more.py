"""Where the files lie of which a sample has any number: checked, and written as plain records of all samples."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards_spec.errors import SpecError
from shards_spec.manifest import ShardFile
from shards_spec.stream.index_format import MORE_FILE
from shards_spec.tar import BLOCK, MAX_FILE_SIZE
from shards_spec.variants.base import MORE_FILE_PATTERN, MORE_FILES, MORE_FILES_MAX

_extension = re.compile(MORE_FILE_PATTERN)

MORE_COLUMNS = [f"{MORE_FILES}_{what}" for what in ("extension", "offset", "size", "crc32")]


class MoreFiles:
    """The further files of the samples of a shard.

    Args:
        table: The rows of the shard.
        shard: What the manifest says about the shard.

    Raises:
        SpecError: The lists contradict each other or the format.
    """

    def __init__(self, table: pa.Table, shard: ShardFile) -> None:
        self._shard = shard
        lists = [table[name].combine_chunks() for name in MORE_COLUMNS]
        bounds = [one.offsets.to_numpy().astype(np.int64) for one in lists]
        self.counts = np.diff(bounds[0])
        """``[rows]``: the number of further files of each sample."""
        if any((np.diff(other) != self.counts).any() for other in bounds[1:]):
            raise SpecError(f"{shard.file}: the index's lists of a sample's files differ in length")
        if (self.counts > MORE_FILES_MAX).any():
            raise SpecError(f"{shard.file}: the index has a sample of more than {MORE_FILES_MAX} further files")
        extension, *self._places = (one.flatten() for one in lists)
        self._starts = np.cumsum(self.counts) - self.counts
        encoded = extension.dictionary_encode()
        self._names: list[str] = encoded.dictionary.to_pylist()
        self._codes = encoded.indices.to_numpy()
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Check that the extensions are numbered in their order, so that none comes twice."""
        for name in self._names:
            if _extension.fullmatch(name) is None:
                raise SpecError(f"{self._shard.file}: the index names a file {name[:50]!r}")
        numbers = np.asarray([int(name.partition(".")[0]) for name in self._names], np.int64)
        if (numbers[self._codes] != np.arange(len(self._codes)) - np.repeat(self._starts, self.counts)).any():
            raise SpecError(f"{self._shard.file}: the index has a sample whose files are not numbered from 0")

    def check_places(self, before: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int]:
        """Check that the files of each sample follow one another.

        Args:
            before: ``[rows]``: where the file before a sample's first further one ends.

        Returns:
            ``[rows]``: where the last one ends, or the one before it if there is none. And the size of all files.
        """
        offset, size = (self._places[place].to_numpy().astype(np.int64) for place in range(2))
        end = min(self._shard.bytes, 2**63 - 1)
        if ((offset < 0) | (size < 0) | (size > MAX_FILE_SIZE) | (offset > end - size)).any():
            raise SpecError(f"{self._shard.file}: the index has a file that does not lie in its {end} bytes")
        stops = offset + size
        previous = np.empty_like(stops)
        previous[1:] = stops[:-1]
        has_some = self.counts > 0
        previous[self._starts[has_some]] = before[has_some]
        if ((offset - previous < BLOCK) | (offset - previous >= 2 * BLOCK)).any():
            raise SpecError(f"{self._shard.file}: the index has a sample whose file does not follow the one before it")
        last = before.copy()
        last[has_some] = stops[(self._starts + self.counts - 1)[has_some]]
        return last, int(size.sum())

    def records(self, codes: dict[str, int]) -> npt.NDArray[Any]:
        """Return the records of all files, and add new extensions to ``codes``."""
        own = np.asarray([codes.setdefault(name, len(codes)) for name in self._names], np.int32)
        found = np.empty(len(self._codes), MORE_FILE)
        for name, column in zip(("offset", "size", "crc32"), self._places, strict=True):
            found[name] = column.to_numpy()
        found["extension"] = own[self._codes] if len(own) else 0
        return found


class MoreFilesWriter:
    """Writes the records of all shards, one after another.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch()
        self._codes: dict[str, int] = {}
        self._count = 0

    @property
    def extensions(self) -> list[str]:
        """The extensions that records name by their position."""
        return list(self._codes)

    def add(self, more: MoreFiles) -> npt.NDArray[np.int64]:
        """Append the records of a shard; return ``[rows]``: the number of the first record of each sample."""
        starts: npt.NDArray[np.int64] = self._count + np.cumsum(more.counts) - more.counts
        self._count += int(more.counts.sum())
        with self._path.open("ab") as file:
            file.write(more.records(self._codes).tobytes())
        return starts
