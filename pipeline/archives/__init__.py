"""Archives and folders, read by byte ranges: what they hold, and their entries in large reads."""

from pipeline.archives.blocks import MAX_BLOCK_SIZE, MAX_GAP
from pipeline.archives.entries import ReadCounters, read_batches, read_entries
from pipeline.archives.errors import ArchiveError
from pipeline.archives.folder import FileRequest, folder_table, read_folder
from pipeline.archives.names import are_unsafe, name_fault, natural_key
from pipeline.archives.request import MAX_ENTRY_SIZE, EntryFault, EntryRequest, FileRange
from pipeline.archives.table import ENTRY_SCHEMA, EntryKind, entries_sha256, join_paths
from pipeline.archives.tar.chain import Chain
from pipeline.archives.tar.entry import TarRequest, tar_request
from pipeline.archives.tar.scan import RangeScan, scan_range
from pipeline.archives.tar.stitch import Joined, Rescan, stitch
from pipeline.archives.tar.stream import TarStream, find_tars
from pipeline.archives.tar.survey import TarSurvey, join_scans, split_ranges, survey_tar, survey_tars
from pipeline.archives.tasks import KeptResults, KeptTasks, Part, ProcessTasks, SerialTasks, Tasks, Work
from pipeline.archives.zip.directory import ZipDirectory, read_zip_directory
from pipeline.archives.zip.entry import ZipRequest
from pipeline.archives.zip.support import support_fault, unsupported_entries

__all__ = [
    "ENTRY_SCHEMA",
    "MAX_BLOCK_SIZE",
    "MAX_ENTRY_SIZE",
    "MAX_GAP",
    "ArchiveError",
    "Chain",
    "EntryFault",
    "EntryKind",
    "EntryRequest",
    "FileRange",
    "FileRequest",
    "Joined",
    "KeptResults",
    "KeptTasks",
    "Part",
    "ProcessTasks",
    "RangeScan",
    "ReadCounters",
    "Rescan",
    "SerialTasks",
    "TarRequest",
    "TarStream",
    "TarSurvey",
    "Tasks",
    "Work",
    "ZipDirectory",
    "ZipRequest",
    "are_unsafe",
    "entries_sha256",
    "find_tars",
    "folder_table",
    "join_paths",
    "join_scans",
    "name_fault",
    "natural_key",
    "read_batches",
    "read_entries",
    "read_folder",
    "read_zip_directory",
    "scan_range",
    "split_ranges",
    "stitch",
    "support_fault",
    "survey_tar",
    "survey_tars",
    "tar_request",
    "unsupported_entries",
]
