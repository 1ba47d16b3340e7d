"""Checks a set against its manifest and the spec: every byte, every sample, every count."""

from shards_spec.verify.dataset import Verdict, verify
from shards_spec.verify.shard import Fault, SequentialFile

__all__ = ["Fault", "SequentialFile", "Verdict", "verify"]
