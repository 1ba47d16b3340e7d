"""The working part of City1M-Full."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from pipeline.archives import EntryFault, Tasks, ZipRequest
from pipeline.options import CutOptions, Options
from pipeline.samples import Outcome, Sample, compare_crop, decode_frame, frame_boxes
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m.full.catalog import build_catalog
from pipeline.sources.city1m.full.frames import Frame, frame_rows
from pipeline.sources.city1m.full.samples import make_samples
from pipeline.sources.city1m.full.sizes import expected_bytes
from pipeline.sources.city1m.options import City1MOptions
from pipeline.sources.converter import Content, Converter, Recipe, Sizes
from shards_spec.storage import Store, open_store
from shards_spec.variants.city1m import make_identity, make_key


class City1MConverter(Converter[Frame]):
    """Surveys City1M-Full, and cuts its members out of its frames."""

    def survey(
        self, source: Store, options: Options, progress: Callable[[str], None], tasks: Tasks | None = None
    ) -> Catalog:
        """Read the label files and the zips' directories."""
        del tasks  # the labels are most of the work, and are read by threads
        own = options.own
        assert isinstance(own, City1MOptions)
        labels = source if own.labels is None else open_store(own.labels)
        return build_catalog(source, labels, own, progress)

    def sizes(self, catalog: Catalog, options: Options) -> Sizes:
        """Estimate the crops' bytes from the areas of the boxes."""
        frame_size = catalog.decisions["box_order"].evidence.get("frame_size")
        return Sizes(
            sum(int(chunk.to_numpy().sum(dtype=np.int64)) for chunk in catalog.rows["compressed_size"].chunks),
            expected_bytes(catalog.rows, frame_size, _cut(options)),
        )

    def rows(self, table: pa.Table) -> list[Frame]:
        """Return frames with their members."""
        return frame_rows(table)

    def entries(self, row: Frame) -> Sequence[ZipRequest]:
        """Return the request of the frame's file."""
        return (row.request,)

    def keys(self, row: Frame) -> dict[str, int | str | None]:
        """Return a key for each member."""
        return {make_key(row.name, person_id): person_id for person_id in row.person_ids}

    def make_samples(self, rows: Sequence[Frame], contents: Sequence[Sequence[Content]], recipe: Recipe) -> Outcome:
        """Cut the members out of their frames."""
        return make_samples(
            rows,
            contents,
            splits=recipe.splits,
            identity_is_global=_is_global(recipe),
            options=_cut(recipe.options),
        )

    def comparison(
        self, row: Frame, contents: Sequence[bytes | EntryFault], recipe: Recipe, *, is_exact: bool
    ) -> Callable[[Sample], None]:
        """Compare crops with the decoded frame, and sidecars with the labels."""
        decoded = decode_frame(row.where, contents[0])
        boxes = frame_boxes(row)
        places = {key: place for place, key in enumerate(self.keys(row))}

        def compare(sample: Sample) -> None:
            place = places[sample.key]
            person_id = row.person_ids[place]
            wanted = {
                "frame": row.name,
                "group_id": row.group,
                "person_id": person_id,
                "identity": make_identity(row.group, person_id, is_global=_is_global(recipe)),
                "camera": row.camera,
                "time": row.time,
                "depth": row.depths[place],
            }
            compare_crop(sample, wanted, boxes[place], decoded, _cut(recipe.options), is_exact=is_exact)

        return compare


def _cut(options: Options) -> CutOptions:
    assert options.cut is not None
    return options.cut


def _is_global(recipe: Recipe) -> bool:
    """Return whether a person id alone names an identity."""
    return recipe.choices["identity_scope"] == "global"
