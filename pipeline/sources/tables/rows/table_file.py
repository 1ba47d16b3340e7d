"""What a table says, in batches of columns."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from shards_spec.manifest import SourceFile
from shards_spec.rejects import Reject


@dataclass(slots=True)
class TableFile:
    """What a table says."""

    source: SourceFile
    batches: list[pa.RecordBatch] = field(default_factory=list)
    """Its rows, in batches of ``LABEL_SCHEMA``."""
    extra: list[dict[str, Any]] = field(default_factory=list)
    """For each batch, its further columns as arrays."""
    rejects: list[Reject] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    """The names of all columns."""
    are_texts: bool = False
    """Whether all further columns are strings whose types are to be told from their values."""
    ignored: list[str] = field(default_factory=list)
    """Columns that are left out, because they hold values that are no scalars, or strings that are too long."""


def extension(path: str) -> str:
    """Return the extension of a file's name, in lower case."""
    return path.rpartition(".")[2].lower()
