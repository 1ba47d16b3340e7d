"""The working part of sources with labelled crops, except for the survey: crops are checked and taken over."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from pipeline.archives import EntryRequest
from pipeline.crop.whole import WholeImage
from pipeline.samples import Outcome, Sample, compare_image, copy_images
from pipeline.sources.converter import Content, Converter, Recipe
from pipeline.sources.tables.catalog.schema import Image, image_rows
from shards_spec.variants.tables import ImageSidecar, find_identity, identity_prefix
from shards_spec.version import SPEC_VERSION


class CropConverter(Converter[Image]):
    """Takes over the crops of a catalog of ``IMAGES_SCHEMA``."""

    def rows(self, table: pa.Table) -> list[Image]:
        """Return crops."""
        return image_rows(table)

    def entries(self, row: Image) -> Sequence[EntryRequest]:
        """Return the request of the crop's file."""
        return (row.request,)

    def keys(self, row: Image) -> dict[str, int | str | None]:
        """Return the key of the one sample."""
        return {row.key: None}

    def make_samples(self, rows: Sequence[Image], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Check the crops and take them over."""
        prefix = identity_prefix(recipe.splits, is_shared=recipe.choices["ids"] == "shared")

        def describe(row: Image, image: WholeImage) -> ImageSidecar:
            return ImageSidecar(
                spec=SPEC_VERSION,
                image=row.name,
                person_id=row.person_id,
                identity=prefix + row.person_id if row.id_kind == "labelled" and row.person_id is not None else None,
                id_kind=row.id_kind,
                camera=row.camera,
                group_id=row.group_id,
                image_size=image.size,
                roi=(0, 0, *image.size),
                encoding=image.encoding,
                splits=recipe.splits,
                extra=row.extra,
            )

        return copy_images(rows, contents, describe)

    def comparison(
        self, row: Image, contents: Sequence[Content], recipe: Recipe, *, is_exact: bool
    ) -> Callable[[Sample], None]:
        """Compare images byte for byte, or by their pixels where the source's are no JPEGs."""
        (content,) = contents
        wanted: dict[str, Any] = {
            "image": row.name,
            "person_id": row.person_id,
            "identity": find_identity(
                row.person_id, row.id_kind, recipe.splits, is_shared=recipe.choices["ids"] == "shared"
            ),
            "id_kind": row.id_kind,
            "camera": row.camera,
            "group_id": row.group_id,
            "splits": recipe.splits,
            "extra": row.extra,
        }
        return lambda sample: compare_image(sample, wanted, row.where, content, is_exact=is_exact)
