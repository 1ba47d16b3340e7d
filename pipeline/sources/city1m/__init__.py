"""City1M-Full: from zips of frames and label files to a catalog."""

from pipeline.sources.city1m.catalog import build_catalog

__all__ = ["build_catalog"]
