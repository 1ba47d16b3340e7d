"""The working part of City1M-PersonModels."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from zlib_ng.zlib_ng import crc32

from pipeline.archives import ArchiveError, EntryRequest, SerialTasks, Tasks
from pipeline.options import Options
from pipeline.samples import Outcome, Sample, compare_copy, copy_samples
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m.models import PERSON_MODELS
from pipeline.sources.city1m.models.options import PersonModelsOptions
from pipeline.sources.city1m.models.rows import Model, model_rows
from pipeline.sources.city1m.models.survey import survey_models
from pipeline.sources.converter import Content, Converter, Recipe, Sizes
from shards_spec.storage import Store
from shards_spec.tar import BLOCK
from shards_spec.variants.person_models import ModelFile, Sidecar, split_of
from shards_spec.version import SPEC_VERSION

_SIDECAR_BYTES_A_FILE = 160


class PersonModelsConverter(Converter[Model]):
    """Surveys City1M-PersonModels, and takes models and textures over as they are."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """List files and archives, and read models for the names of their textures."""
        assert isinstance(options.own, PersonModelsOptions)
        return survey_models(PERSON_MODELS, source, options.own, progress, tasks or SerialTasks(source))

    def sizes(self, catalog: Catalog, options: Options) -> Sizes:  # noqa: ARG002
        """Return the bytes of the files; each takes a header, half a block of padding and a place in the sidecar."""
        sizes = catalog.rows["size"].to_numpy()
        files = pc.count_substring(catalog.rows["files"], "],[").to_numpy() + 1
        written = sizes + files * (3 * BLOCK // 2 + _SIDECAR_BYTES_A_FILE) + 2 * BLOCK
        return Sizes(int(sizes.sum()), written.astype(np.int64))

    def rows(self, table: pa.Table) -> list[Model]:
        """Return models."""
        return model_rows(table)

    def entries(self, row: Model) -> Sequence[EntryRequest]:
        """Return the requests of the model's file and its textures."""
        return [file.request for file in row.files]

    def keys(self, row: Model) -> dict[str, int | str | None]:
        """Return the model's key."""
        return {row.key: None}

    def make_samples(self, rows: Sequence[Model], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Take models and textures over.

        Raises:
            ArchiveError: A model is no longer the one that was surveyed, so that its textures may be others.
        """

        def describe(row: Model, files: tuple[bytes, ...]) -> Sidecar:
            if crc32(files[0]) != row.files[0].crc32:
                what = "put the former one back, or start again in an empty folder"
                raise ArchiveError(f"{row.where}: the model has changed since it was surveyed: {what}")
            return Sidecar(spec=SPEC_VERSION, **_fields(row, files), splits=recipe.splits)

        return copy_samples(rows, contents, describe)

    def comparison(
        self,
        row: Model,
        contents: Sequence[Content],
        recipe: Recipe,
        *,
        is_exact: bool,  # noqa: ARG002
    ) -> Callable[[Sample], None]:
        """Compare models and textures byte for byte."""
        files = [content if isinstance(content, bytes) else b"" for content in contents]
        wanted = {**_fields(row, files), "splits": recipe.splits}
        return lambda sample: compare_copy(sample, wanted, row.where, contents)


def _fields(row: Model, files: Sequence[bytes]) -> dict[str, Any]:
    """Return what the source says of a model, by field of the sidecar."""
    return {
        "model": row.name,
        "model_id": row.model_id,
        "identity": str(row.model_id),
        "used": split_of(row.model_id) == "used",
        "textures": len(row.files) - 1,
        "files": [
            ModelFile(entry.path, len(data), hashlib.sha256(data).hexdigest())
            for entry, data in zip(row.files, files, strict=True)
        ],
    }
