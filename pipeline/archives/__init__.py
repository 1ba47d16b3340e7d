"""Archives, read by byte ranges: what they hold, and their entries in large reads."""

from pipeline.archives.entries import MAX_BLOCK_SIZE, MAX_GAP, ReadCounters, read_entries
from pipeline.archives.errors import ArchiveError
from pipeline.archives.request import MAX_ENTRY_SIZE, EntryFault, EntryRequest
from pipeline.archives.zip.directory import ZipDirectory, read_zip_directory
from pipeline.archives.zip.entry import ZipRequest
from pipeline.archives.zip.support import support_fault, unsupported_entries

__all__ = [
    "MAX_BLOCK_SIZE",
    "MAX_ENTRY_SIZE",
    "MAX_GAP",
    "ArchiveError",
    "EntryFault",
    "EntryRequest",
    "ReadCounters",
    "ZipDirectory",
    "ZipRequest",
    "read_entries",
    "read_zip_directory",
    "support_fault",
    "unsupported_entries",
]
