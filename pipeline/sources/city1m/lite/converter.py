"""The working part of City1M-Lite."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from pipeline.archives import FileRequest, Tasks, ZipRequest
from pipeline.crop.whole import WholeImage
from pipeline.options import Options
from pipeline.samples import Outcome, Sample, compare_image, copy_images
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m.lite.rows import Crop, crop_rows
from pipeline.sources.city1m.lite.survey import survey_city1m_lite
from pipeline.sources.city1m.options import City1MOptions
from pipeline.sources.converter import Content, Converter, Recipe
from shards_spec.storage import Store, open_store
from shards_spec.variants.city1m import make_identity
from shards_spec.variants.city1m_lite import Sidecar
from shards_spec.version import SPEC_VERSION


class City1MLiteConverter(Converter[Crop]):
    """Surveys City1M-Lite, and takes its crops over as they are."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Read the label files, and list the folders and zips of crops."""
        del tasks  # there are few entries
        own = options.own
        assert isinstance(own, City1MOptions)
        return survey_city1m_lite(source, source if own.labels is None else open_store(own.labels), own, progress)

    def rows(self, table: pa.Table) -> list[Crop]:
        """Return crops."""
        return crop_rows(table)

    def entries(self, row: Crop) -> Sequence[ZipRequest | FileRequest]:
        """Return the request of the crop's file."""
        return (row.request,)

    def keys(self, row: Crop) -> dict[str, int | str | None]:
        """Return the crop's key."""
        return {row.key: None}

    def make_samples(self, rows: Sequence[Crop], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Check the crops and take them over."""

        def describe(row: Crop, image: WholeImage) -> Sidecar:
            return Sidecar(
                spec=SPEC_VERSION,
                **_fields(row, recipe),
                image_size=image.size,
                roi=(0, 0, *image.size),
                encoding=image.encoding,
                splits=recipe.splits,
            )

        return copy_images(rows, contents, describe)

    def comparison(
        self, row: Crop, contents: Sequence[Content], recipe: Recipe, *, is_exact: bool
    ) -> Callable[[Sample], None]:
        """Compare crops byte for byte, or by their pixels where the source's are no JPEGs."""
        (content,) = contents
        wanted = {**_fields(row, recipe), "splits": recipe.splits}
        return lambda sample: compare_image(sample, wanted, row.where, content, is_exact=is_exact)


def _fields(row: Crop, recipe: Recipe) -> dict[str, Any]:
    """Return what the source says of a crop, by field of the sidecar."""
    is_global = recipe.choices["identity_scope"] == "global"
    return {
        "image": row.image,
        "group_id": row.group,
        "person_id": row.person_id,
        "identity": make_identity(row.group, row.person_id, is_global=is_global),
        "frames": row.frames,
        "frame": row.frame,
        "camera": row.camera,
        "time": row.time,
        "depth": row.depth,
        "box": tuple(row.box) or None,
        "members": row.members,
    }
