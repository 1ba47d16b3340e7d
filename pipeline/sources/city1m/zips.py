"""The directories of the zips that a form of City1M lies in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.archives import ZipDirectory, read_zip_directory
from shards_spec.errors import UsageError
from shards_spec.manifest import SourceFile
from shards_spec.storage import Store


@dataclass(frozen=True, slots=True)
class Archives:
    """All entries of all archives."""

    sources: list[SourceFile]
    """The archives, sorted by path."""
    entries: pa.Table
    """The columns of ``ZipDirectory.entries``, and ``archive`` (int32), the position of the archive in ``sources``.
    Rows are sorted by archive, then in the directory's order."""
    repeated: list[str]
    """Paths of the archives that are the same as another one, which is read in their place."""

    def path(self, row: int) -> str:
        """Return the path of an entry's archive."""
        number: int = self.entries.column("archive")[row].as_py()
        return self.sources[number].file

    def where(self, row: int) -> str:
        """Return an entry's place in the form that rejects use."""
        return f"{self.path(row)}:{self.entries.column('name')[row].as_py()}"


def read_directories(store: Store, paths: Sequence[str], progress: Callable[[str], None] | None = None) -> Archives:
    """Read the directories of zips.

    Two archives of the same size with equal directories are one archive that was downloaded twice. Only the one with
    the shorter name is used.

    Raises:
        UsageError: One cannot be read.
    """
    taken: dict[tuple[int, str], ZipDirectory] = {}
    repeated = []
    for path in sorted(paths, key=lambda path: (len(path), path)):
        try:
            path.encode()
        except UnicodeEncodeError as error:  # neither the manifest nor the rejects could contain the name
            raise UsageError(f"{store.url}: the archive's name {path!r} is not UTF-8: rename it") from error
        directory = read_zip_directory(store, path)
        first = taken.setdefault((directory.size, directory.sha256), directory)
        if first is not directory:
            repeated.append(path)
        if progress is not None:
            what = f"{directory.entries.num_rows:,} entries"
            progress(f"{path}: {what if first is directory else f'the same archive as {first.path}'}")
    directories = sorted(taken.values(), key=lambda directory: directory.path)
    tables = []
    for number, directory in enumerate(directories):
        archive = pa.repeat(pa.scalar(number, pa.int32()), directory.entries.num_rows)
        tables.append(directory.entries.append_column(pa.field("archive", pa.int32(), nullable=False), archive))
    return Archives(
        [SourceFile(directory.path, directory.size, directory.sha256) for directory in directories],
        pa.concat_tables(tables).combine_chunks(),
        repeated,
    )
