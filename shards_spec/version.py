"""The version of the package and the version of the shard format, which change independently of each other."""

__version__ = "0.1.0"
"""Version of the distribution ``reid-shards`` (semantic versioning)."""

SPEC_VERSION = "1.0"
"""Version of the shard format. A reader for 1.x reads every set whose major version is 1."""
