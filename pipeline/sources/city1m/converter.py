"""The working part of City1M-Full."""

from collections.abc import Callable

from pipeline.options import Options
from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m.catalog import build_catalog
from pipeline.sources.city1m.options import City1MOptions
from pipeline.sources.converter import Converter
from shards_spec.storage import Store, open_store


class City1MConverter(Converter):
    """Surveys City1M-Full."""

    def survey(self, source: Store, options: Options, progress: Callable[[str], None]) -> Catalog:
        """Read the label files and the zips' directories."""
        own = options.own
        assert isinstance(own, City1MOptions)
        labels = source if own.labels is None else open_store(own.labels)
        return build_catalog(source, labels, own, progress)
