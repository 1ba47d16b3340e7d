"""Checks every byte, sample and count of a set against its manifest and the specification."""

from shards_spec.verify.dataset import Verdict, verify
from shards_spec.verify.shard import Fault, SequentialFile

__all__ = ["Fault", "SequentialFile", "Verdict", "verify"]
