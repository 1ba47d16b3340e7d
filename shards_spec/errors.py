"""The errors that a user of either package can act on."""


class ReidShardsError(Exception):
    """Base of this project's errors: something failed; the message names it and says what to do."""


class UsageError(ReidShardsError):
    """The input or the options make no sense (exit code 2)."""


class SpecError(ReidShardsError, ValueError):
    """Bytes that claim to be part of a shard set do not follow the spec."""
