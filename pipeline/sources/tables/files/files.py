"""The images of a source by their names, and where each is read."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.samples import Notes
from pipeline.sources.matching import Paths
from shards_spec.manifest import SourceFile
from shards_spec.rejects import RejectReason


class Container(IntEnum):
    """What an image's file lies in."""

    FOLDER = 0
    ZIP = 1
    TAR = 2


_Int64 = npt.NDArray[np.int64]

Fault = tuple[RejectReason, str]


@dataclass(frozen=True, slots=True)
class Files:
    """The images of a source by their names, in the order in which the first of several equal paths counts."""

    paths: Paths
    """Where the files would lie if each archive were unpacked into a folder of its name, ``[files]``."""
    archive: npt.NDArray[np.int32]
    """The archive or folder of each file, as its position in ``sources``, ``[files]``."""
    container: npt.NDArray[np.uint8]
    """A ``Container``, ``[files]``."""
    numbers: dict[str, npt.NDArray[Any]]
    """Where each file lies in its archive: the columns of a catalog of these names, ``[files]``."""
    sources: list[SourceFile]
    """The archives, and the folders at the top that hold plain files."""
    prefixes: list[str]
    """What stands in ``paths`` before the name of an entry, for each of ``sources``; nothing before plain files."""
    faults: dict[int, Fault]
    """The files that cannot be read, and why."""
    gaps: list[str]
    """A sentence for each archive that seems to be cut off."""
    notes: Notes
    """Files and entries that are no images by their names."""

    def __len__(self) -> int:
        return len(self.archive)

    def path(self, file: int) -> str:
        """Return the path of a file."""
        return f"{self.paths.folders[file].as_py()}{self.paths.names[file].as_py()}"

    def where(self, file: int) -> str:
        """Return the place of a file, in the form that rejects use."""
        source = int(self.archive[file])
        return f"{self.sources[source].file}:{self.path(file)[len(self.prefixes[source]) :]}"

    def entries(self, files: _Int64) -> pa.Array:
        """Return the names of files in their archives, or the paths of plain files, as large strings."""
        paths = self.path_texts(files)
        lengths = np.array([len(prefix) for prefix in self.prefixes] or [0])[self.archive[files]]
        found = pa.nulls(len(files), pa.large_string())
        for length in np.unique(lengths).tolist():  # as many as there are lengths of archives' names
            cut = pc.utf8_slice_codeunits(paths, length) if length else paths
            found = pc.if_else(pa.array(lengths == length), cut, found)
        return found

    def place_columns(self, taken: _Int64) -> dict[str, Any]:
        """Return the columns that say where files are read.

        Args:
            taken: The positions of those that are read, ``[rows]``.
        """
        sources = pa.array([source.file for source in self.sources], pa.large_string())
        columns: dict[str, Any] = {
            "container": pa.array(self.container[taken]),
            "archive": pa.DictionaryArray.from_arrays(pa.array(self.archive[taken]), sources),
            "entry": self.entries(taken),
        }
        return columns | {name: pa.array(numbers[taken]) for name, numbers in self.numbers.items()}

    def physical_order(self, images: _Int64) -> _Int64:
        """Return the rank of each image in the order in which files are best read: by archive, then offset."""
        return np.lexsort((images, self.numbers["offset"][images], self.archive[images]))

    def path_texts(self, taken: _Int64) -> pa.Array:
        """Return the paths of files as large strings."""
        rows = pa.array(taken)
        folders = self.paths.folders.take(rows).cast(pa.large_string())
        return pc.binary_join_element_wise(folders, self.paths.names.take(rows), pa.scalar("", pa.large_string()))
