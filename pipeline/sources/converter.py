"""What a source does: surveying a folder."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from pipeline.options import Options
from pipeline.sources.catalog import Catalog
from shards_spec.storage import Store


class Converter(ABC):
    """The working part of a kind of source; ``Source.load`` gives it."""

    @abstractmethod
    def survey(self, source: Store, options: Options, progress: Callable[[str], None]) -> Catalog:
        """Find out what a folder holds.

        Args:
            source: The store with the source.
            options: The options of the conversion.
            progress: A function that is called with a sentence about the progress now and then.

        Raises:
            UsageError: The source cannot be converted.
            OSError: A store reports a fault.
        """
