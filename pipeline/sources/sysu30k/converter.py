"""The working part of SYSU-30k."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from pipeline.archives import FileRequest, SerialTasks, TarRequest, Tasks
from pipeline.crop.whole import WholeImage
from pipeline.options import Options
from pipeline.samples import Outcome, Sample, compare_image, copy_images
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Content, Converter, Recipe
from pipeline.sources.sysu30k import SYSU30K
from pipeline.sources.sysu30k.options import Sysu30kOptions
from pipeline.sources.sysu30k.rows import Image, image_rows
from pipeline.sources.sysu30k.survey import survey_sysu30k
from shards_spec.storage import Store
from shards_spec.variants.sysu30k import Sidecar, describe_path
from shards_spec.version import SPEC_VERSION


class Sysu30kConverter(Converter[Image]):
    """Surveys SYSU-30k, and takes its images over as they are."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Read the lists, the bags and the archives' headers."""
        assert isinstance(options.own, Sysu30kOptions)
        return survey_sysu30k(SYSU30K, source, options.own, progress, tasks or SerialTasks(source))

    def rows(self, table: pa.Table) -> list[Image]:
        """Return images."""
        return image_rows(table)

    def entries(self, row: Image) -> Sequence[TarRequest | FileRequest]:
        """Return the request of the image's file."""
        return (row.request,)

    def keys(self, row: Image) -> dict[str, int | str | None]:
        """Return the image's key."""
        return {row.key: None}

    def make_samples(self, rows: Sequence[Image], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Check the images and take them over."""
        splits = recipe.splits

        def describe(row: Image, image: WholeImage) -> Sidecar:
            folder, level, identity, camera = describe_path(row.name)
            return Sidecar(
                spec=SPEC_VERSION,
                image=row.name,
                folder=folder,
                label_level=level,
                identity=identity,
                camera=camera,
                bags=row.bags,
                image_size=image.size,
                roi=(0, 0, *image.size),
                encoding=image.encoding,
                splits=splits,
            )

        return copy_images(rows, contents, describe)

    def comparison(
        self,
        row: Image,
        contents: Sequence[Content],
        recipe: Recipe,
        *,
        is_exact: bool,
    ) -> Callable[[Sample], None]:
        """Compare images byte for byte, or by their pixels where the source's are no JPEGs."""
        (content,) = contents
        wanted = {**_fields(row), "splits": recipe.splits}
        return lambda sample: compare_image(sample, wanted, row.where, content, is_exact=is_exact)


def _fields(row: Image) -> dict[str, Any]:
    """Return what the source says of an image, by field of the sidecar."""
    folder, level, identity, camera = describe_path(row.name)
    return {
        "image": row.name,
        "folder": folder,
        "label_level": level,
        "identity": identity,
        "camera": camera,
        "bags": row.bags,
    }
