"""Comparison of a set with the source that it was made from: ``reid-shards verify --source``."""

from pipeline.compare.dataset import compare_set
from pipeline.compare.survey import survey_again

__all__ = ["compare_set", "survey_again"]
