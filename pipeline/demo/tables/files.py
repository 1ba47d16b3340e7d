"""Writing the images of a demo: to a folder, to zips and to tars, the same bytes each time."""

import contextlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

_DATE = (2020, 1, 1, 0, 0, 0)


class ImageFiles:
    """Images below a folder. ``open_images`` returns them."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._zips: dict[str, zipfile.ZipFile] = {}
        self._tars: dict[str, tarfile.TarFile] = {}

    def write(self, path: str, content: bytes, archive: str | None = None) -> None:
        """Write an image.

        Args:
            path: Its path below the folder, or in the archive.
            content: Its bytes.
            archive: Name of a zip or tar; None for the folder itself.
        """
        if archive is None:
            file = self._folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        elif archive.endswith(".zip"):
            if archive not in self._zips:
                self._zips[archive] = self._stack.enter_context(zipfile.ZipFile(self._folder / archive, "w"))
            self._zips[archive].writestr(zipfile.ZipInfo(path, _DATE), content)
        else:
            if archive not in self._tars:
                self._tars[archive] = self._stack.enter_context(tarfile.open(self._folder / archive, "w"))  # noqa: SIM115
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            self._tars[archive].addfile(entry, io.BytesIO(content))


@contextlib.contextmanager
def open_images(folder: Path) -> Iterator[ImageFiles]:
    """Open the images below a folder for writing, and close all archives after the block."""
    with contextlib.ExitStack() as stack:
        yield ImageFiles(folder, stack)
