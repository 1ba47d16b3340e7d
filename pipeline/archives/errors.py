"""Errors about an archive as a whole."""

from shards_spec.errors import UsageError


class ArchiveError(UsageError):
    """An archive as a whole cannot be read: its directory is missing, damaged, or spread over several files."""


def damaged(path: str, what: str) -> ArchiveError:
    """Return the error for an archive whose bytes contradict each other."""
    return ArchiveError(f"{path}: {what}: the archive is damaged; download it again")
