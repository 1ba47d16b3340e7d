"""The rows of the catalog of City1M-PersonModels: one for each model, as a column table and as objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.sources.city1m.models.entries import Entry
from shards_spec.cells import cell_name
from shards_spec.keys import path_key
from shards_spec.variants.person_models import split_of

CELLS = {split: cell_name({"p1": [split]}) for split in ("standby", "used")}
"""The cell of each split."""

ROW_SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),
        pa.field("samples", pa.int8(), nullable=False),  # 1
        pa.field("model_id", pa.int32(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),  # bytes of all files
        pa.field("has_own_key", pa.uint8(), nullable=False),  # 1 or 0: whether no other model's path gives the same key
        pa.field("files", pa.large_string(), nullable=False),  # JSON list of ``Entry``: the model, then its textures
    ]
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model with its textures."""

    model_id: int
    has_own_key: bool
    files: list[Entry]
    """The model's file, then its textures."""

    @property
    def name(self) -> str:
        """Return the path of the model's file below the source's folder."""
        return self.files[0].path

    @property
    def where(self) -> str:
        """Return the place of the model's file in the form that rejects use."""
        return self.files[0].where

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """Return the key of the sample."""
        return path_key(self.name, is_unique=self.has_own_key)

    @property
    def samples(self) -> int:
        """Return 1: a model is a sample."""
        return 1


def build_rows(models: Sequence[Model]) -> pa.Table:
    """Return models as a table of ``ROW_SCHEMA``."""
    columns = {
        "cell": [CELLS[split_of(model.model_id)] for model in models],
        "samples": np.ones(len(models), np.int8),
        "model_id": [model.model_id for model in models],
        "size": [model.size for model in models],
        "has_own_key": np.asarray([model.has_own_key for model in models], np.uint8),
        "files": [msgspec.json.encode(model.files).decode() for model in models],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in ROW_SCHEMA], schema=ROW_SCHEMA)


def model_rows(table: pa.Table) -> list[Model]:
    """Return the rows of a table of ``ROW_SCHEMA``."""
    decoder = msgspec.json.Decoder(list[Entry])
    values = zip(*(table[name].to_pylist() for name in ("model_id", "has_own_key", "files")), strict=True)
    return [Model(model_id, bool(has_own_key), decoder.decode(files)) for model_id, has_own_key, files in values]
