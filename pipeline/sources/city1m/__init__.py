"""City1M-Full: zips of frames and label files, as the dataset's authors hand them out, to a catalog of frames."""

from pipeline.sources.city1m.catalog import build_catalog

__all__ = ["build_catalog"]
