"""The streaming reader of a set, which a training job imports."""

from shards_spec.stream.dataset import Dataset, open_dataset
from shards_spec.stream.fetch import SampleError

__all__ = ["Dataset", "SampleError", "open_dataset"]
