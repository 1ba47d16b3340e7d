"""The set's files: zips by group size, and label files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from pipeline.demo.city1m.splits import LABEL_FILES

WRITTEN_ON = (2022, 6, 19, 0, 0, 0)
UNIX = 3
FILE_MODE, FOLDER_MODE = 0o100644, 0o040755
DOS_FOLDER = 0x10
WRONG_BITS = 0x5A5A5A5A


def archive_name(group_size: int) -> str:
    """Return the name of the zip with the frames of groups of this size."""
    return f"Images_{group_size}.zip"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a zip.

    Attributes:
        archive: The zip's file name.
        name: The member's name; a folder's ends with a slash.
        content: The member's bytes.
        method: The compression method; None stands for the archive's own.
        wrong_crc: Whether the zip's directory gets a wrong CRC-32.
    """

    archive: str
    name: str
    content: bytes = field(repr=False)
    method: int | None = None
    wrong_crc: bool = False


class Archives:
    """The zips, which all stay open until the end, because traps put frames into zips of other groups.

    Args:
        folder: The folder to write to.
        methods: The compression method of each zip, by its name.
    """

    def __init__(self, folder: Path, methods: Mapping[str, int]) -> None:
        self._zips = {name: ZipFile(folder / name, "w") for name in methods}
        self._methods = methods

    def write(self, member: Member) -> None:
        """Append a member. Everything except its name and bytes is fixed, so that the zip's bytes are reproducible."""
        info = ZipInfo(member.name, WRITTEN_ON)
        info.create_system = UNIX
        info.external_attr = (FOLDER_MODE << 16 | DOS_FOLDER) if info.is_dir() else FILE_MODE << 16
        method = self._methods[member.archive] if member.method is None else member.method
        archive = self._zips[member.archive]
        # JPEGs hardly shrink, so level 1 costs the least and tests the method just as well.
        archive.writestr(info, member.content, ZIP_STORED if info.is_dir() else method, compresslevel=1)
        if member.wrong_crc:
            info.CRC ^= WRONG_BITS  # the directory is written when the zip is closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for archive in self._zips.values():
            archive.close()


@dataclass(frozen=True, slots=True)
class LabelStyle:
    """How a label file is spelled.

    Attributes:
        byte_order_mark: Whether the file begins with a byte order mark.
        line_end: The bytes that end each line.
        blank_after: The frame lines, counted from 1, that are followed by a blank line.
    """

    byte_order_mark: bool = False
    line_end: bytes = b"\n"
    blank_after: tuple[int, ...] = ()


class LabelFiles:
    """The six label files, written line by line."""

    def __init__(self, folder: Path, styles: Mapping[str, LabelStyle]) -> None:
        self._styles = {name: styles.get(name, LabelStyle()) for name in LABEL_FILES}
        self._files: dict[str, IO[bytes]] = {name: (folder / name).open("wb") for name in LABEL_FILES}
        self._frame_lines = dict.fromkeys(LABEL_FILES, 0)
        self._lines = dict.fromkeys(LABEL_FILES, 0)
        self.blank_lines: list[tuple[str, int]] = []
        """File and number of each blank line written."""
        for name, style in self._styles.items():
            if style.byte_order_mark:
                self._files[name].write(b"\xef\xbb\xbf")

    def write(self, name: str, line: str) -> int:
        """Append a frame's line to a file, and return its number, from 1."""
        style, file = self._styles[name], self._files[name]
        file.write(line.encode("ascii") + style.line_end)
        self._frame_lines[name] += 1
        self._lines[name] += 1
        number = self._lines[name]
        if self._frame_lines[name] in style.blank_after:
            file.write(style.line_end)
            self._lines[name] += 1
            self.blank_lines.append((name, self._lines[name]))
        return number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
