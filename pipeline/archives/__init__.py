"""Zip archives, read by byte ranges: what they hold, and their members in large reads."""

from pipeline.archives.directory import ZipDirectory, read_zip_directory
from pipeline.archives.errors import ArchiveError
from pipeline.archives.members import (
    MAX_BLOCK_SIZE,
    MAX_GAP,
    MAX_MEMBER_SIZE,
    MemberFault,
    MemberRequest,
    ReadCounters,
    read_members,
)
from pipeline.archives.support import support_fault, unsupported_members

__all__ = [
    "MAX_BLOCK_SIZE",
    "MAX_GAP",
    "MAX_MEMBER_SIZE",
    "ArchiveError",
    "MemberFault",
    "MemberRequest",
    "ReadCounters",
    "ZipDirectory",
    "read_members",
    "read_zip_directory",
    "support_fault",
    "unsupported_members",
]
