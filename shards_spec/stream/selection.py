"""The samples that a stream yields: those of a protocol's split, or those of them for which an expression is true."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.manifest import Manifest
from shards_spec.stream.checked_files import DamagedError, map_checked, read_small, seal, unseal
from shards_spec.stream.cleanup import SELECTION_SUFFIX, WHOLE_SUFFIX, hold, sweep
from shards_spec.stream.index_cache import DamagedIndexError, SetIndex, remove, removed
from shards_spec.stream.index_format import NO_LABEL, row_files
from shards_spec.stream.integers import whole_number
from shards_spec.stream.order import Int64

if TYPE_CHECKING:
    import pyarrow.compute as pc

_Files = tuple[Path, Path | None]
"""The files with a selection's rows and, if its units are not samples, where these begin."""

_SHARED_LABELS = {"query": ("gallery", "query"), "gallery": ("gallery", "query")}
"""Splits whose labels share one numbering, because the identity of a query is looked up in the gallery."""


def protocol_name(protocol: int | str) -> str:
    """Return the name of a protocol: ``1`` and ``"p1"`` mean the same.

    Raises:
        UsageError: The value is neither a whole number nor a string.
    """
    return protocol if isinstance(protocol, str) else f"p{whole_number('protocol', protocol)}"


def split_cells(manifest: Manifest, protocol: int | str, split: str) -> list[str]:
    """Return the cells of a split, in the order of the manifest.

    Raises:
        UsageError: There is no such protocol or split.
    """
    splits = manifest.protocols.get(protocol_name(protocol))
    if splits is None:
        raise UsageError(f"protocol {protocol!r}: the set has {', '.join(sorted(manifest.protocols)) or 'none'}")
    if split not in splits:
        raise UsageError(f"split {split!r}: protocol {protocol_name(protocol)} has {', '.join(sorted(splits))}")
    return [cell for cell in manifest.cells if cell in splits[split]]


def choose_split(manifest: Manifest, protocol: int | str, split: str | None) -> str:
    """Return ``split``, or if it is None, the train split or the only one of a protocol.

    Raises:
        UsageError: There is no such protocol, or none of its splits is the one to take.
    """
    if split is not None:
        return split
    splits = manifest.protocols.get(protocol_name(protocol))
    if splits is None or "train" in splits:
        return "train"
    if len(splits) == 1:
        return next(iter(splits))
    raise UsageError(f"protocol {protocol_name(protocol)} has {', '.join(sorted(splits))}: name one with split=")


def label_names(index: SetIndex, protocol: int | str, split: str) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Return what the labels of a split stand for, sorted, and the label of each value of the set's label field.

    The last label is -1, that of a null.
    """
    field = index.variant.label_field(split)
    if field is None:
        return [], np.asarray([NO_LABEL], np.int32)
    codes = sorted({code for cell in _label_cells(index, protocol, split) for code in index.cell_labels(cell, field)})
    names = index.label_values(field)
    codes.sort(key=lambda code: names[code])
    labels = np.full(len(names) + 1, NO_LABEL, np.int32)
    labels[codes] = np.arange(len(codes))
    return [names[code] for code in codes], labels


def label_groups(index: SetIndex, protocol: int | str, split: str) -> list[str]:
    """Return the groups that group labels stand for, sorted: label ``n`` is the group at index ``n``."""
    field = index.variant.group_field
    if field is None:
        return []
    # Imported only here, because these modules import pandas.
    import pyarrow.dataset as pds  # noqa: PLC0415

    groups: set[str] = set()
    for cell in _label_cells(index, protocol, split):
        scanner = pds.dataset(index.parquet(cell)).scanner(columns=[field], use_threads=False)
        for batch in scanner.to_batches():
            groups.update(batch[field].drop_null().unique().to_pylist())
    return sorted(groups)


def _label_cells(index: SetIndex, protocol: int | str, split: str) -> list[str]:
    """Return the cells whose identities and groups are numbered together with those of a split."""
    splits = index.manifest.protocols[protocol_name(protocol)]
    numbered = [name for name in _SHARED_LABELS.get(split, (split,)) if name in splits]
    return [cell for name in numbered for cell in splits[name]]


class Selection:
    """Rows of the index in the order of the set, and the units that they form. The arrays are mapped into memory.

    Raises:
        ReidShardsError: The files were removed. Pickling raises this as well, as for ``SetIndex``.
    """

    def __init__(self, index: SetIndex, rows: Path, unit_starts: Path | None) -> None:
        self.index = index
        self._files = rows, unit_starts
        try:
            for file in self._files:
                if file is not None:
                    hold(file, self)
            self.rows: Int64 = _map(rows)
            """``[samples]``."""
            self._unit_starts: Int64 | None = None if unit_starts is None else _map(unit_starts)
        except FileNotFoundError as error:
            raise removed(index.folder) from error
        except (OSError, DamagedError) as error:
            raise DamagedIndexError(
                f"a selection in {index.folder} is damaged: {error}: make the stream again"
            ) from error
        self.digest = rows.stem

    def __reduce__(self) -> tuple[type["Selection"], tuple[Any, ...]]:
        if not all(file is None or file.exists() for file in self._files):
            raise removed(self.index.folder)
        return Selection, (self.index, *self._files)

    @classmethod
    def make(cls, index: SetIndex, cells: Sequence[str], where: "pc.Expression | None", by: str) -> "Selection":
        """Evaluate a selection. Its arrays are written beside the index, in files named after their digest.

        Args:
            index: Index of the set.
            cells: Cells to select from.
            where: Expression over the columns of the index; None selects all rows.
            by: "sample", or what the variant calls the samples that stand together: a unit is one of these.

        Raises:
            UsageError: The expression does not fit the columns.
            ReidShardsError: The index was removed, or the files cannot be written.
        """
        whole = index.folder / f"{_digest(msgspec.json.encode([list(cells), by]))}{WHOLE_SUFFIX}"
        files = _read_whole(whole) if where is None else None
        if files is not None:
            return cls(index, *files)
        rows = np.concatenate([np.empty(0, np.int64), *(_cell_rows(index, cell, where) for cell in cells)])
        starts = None
        if by != "sample":
            shards = np.searchsorted(index.shard_starts, rows, side="right")
            units = index.rows["unit_index"][rows]
            new = np.ones(len(rows), np.bool_)
            new[1:] = (shards[1:] != shards[:-1]) | (units[1:] != units[:-1])
            starts = _kept(index.folder, np.append(np.flatnonzero(new), len(rows)))
        files = _kept(index.folder, rows), starts
        if where is None:
            _note_whole(whole, files)
        return cls(index, *files)

    def shard_units(self) -> Int64:
        """Return ``[shards of the set]``: the number of units of each shard."""
        firsts = self.rows if self._unit_starts is None else self.rows[self._unit_starts[:-1]]
        return np.diff(np.searchsorted(firsts, self.index.shard_starts)).astype(np.int64)

    def unit_bytes(self) -> float:
        """Return the mean size of a unit in bytes, estimated from the manifest."""
        totals = self.index.manifest.totals
        units = len(self.rows) if self._unit_starts is None else len(self._unit_starts) - 1
        return totals.bytes / max(totals.samples, 1) * len(self.rows) / max(units, 1)

    def file_bytes(self) -> int:
        """Return the size of all files in bytes."""
        step = 2**20  # number of rows at a time, because a selection may have millions
        parts = (self.index.rows.take(self.rows[start : start + step]) for start in range(0, len(self.rows), step))
        names = [f"{name}_size" for name in row_files(self.index.rows.dtype)]
        return sum(int(part[name].sum(dtype=np.int64)) for part in parts for name in names)

    def unit_rows(self, units: Int64) -> tuple[Int64, Int64]:
        """Return the rows of units, one after another, and the number of rows of each unit."""
        if self._unit_starts is None:
            return self.rows[units], np.ones(len(units), np.int64)
        starts = self._unit_starts[units]
        sizes = self._unit_starts[units + 1] - starts
        places = np.arange(int(sizes.sum())) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return self.rows[places], sizes


def _cell_rows(index: SetIndex, cell: str, where: "pc.Expression | None") -> Int64:
    rows = index.cell_rows(cell)
    if where is None or not rows:
        return np.arange(rows.start, rows.stop, dtype=np.int64)
    # Imported only here, because these modules import pandas.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.dataset as pds  # noqa: PLC0415

    if not isinstance(where, pc.Expression):
        raise UsageError(
            f"where={where!r}: it must be true or false for a row of the index: an expression such as "
            "pyarrow.compute.field('camera') == 3"
        )
    try:
        scanner = pds.dataset(index.parquet(cell)).scanner(columns={"hit": where}, use_threads=False)
        hits = [pc.fill_null(batch["hit"], False).to_numpy(zero_copy_only=False) for batch in scanner.to_batches()]
    except FileNotFoundError as error:
        raise removed(index.folder) from error
    except pa.ArrowException as error:
        told = str(error).partition("\n")[0]  # the other lines list all columns
        raise UsageError(f"where={where}: {told}: it must be true or false for a row of the index") from error
    mask = np.concatenate(hits)
    if mask.dtype != np.bool_:
        raise UsageError(f"where={where}: it must be true or false for a row of the index, not {mask.dtype}")
    return np.flatnonzero(mask) + rows.start


def _read_whole(note: Path) -> _Files | None:
    """Return the files of a selection of whole cells, if they were noted and are sound.

    Laying out the rows of tens of millions of samples to learn the name of their file takes seconds.
    """
    try:
        names = msgspec.json.decode(unseal(read_small(note), note.stem), type=tuple[str, str | None])
        rows, starts = (None if name is None else note.with_name(name) for name in names)
        for file in (rows, starts):
            if file is not None:
                _map(file)
    except (OSError, ValueError, DamagedError, msgspec.MsgspecError):
        return None
    return None if rows is None else (rows, starts)


def _note_whole(note: Path, files: _Files) -> None:
    rows, starts = files
    with contextlib.suppress(ReidShardsError):  # it is only laid out again
        _write(
            note, memoryview(seal(msgspec.json.encode([rows.name, None if starts is None else starts.name]), note.stem))
        )


def _kept(folder: Path, array: Int64) -> Path:
    """Return the file beside the index that contains an array. It is written if it does not exist."""
    data = np.ascontiguousarray(array, "<i8").data
    target = folder / f"{_digest(data)}{SELECTION_SUFFIX}"
    try:
        _map(target)
    except (OSError, DamagedError):
        _write(target, data)
        sweep(folder.parent)
    return target


def _write(target: Path, data: memoryview) -> None:
    partial = target.with_name(f"{target.stem}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # otherwise a power failure can leave the name without the content
        if target.is_dir():
            remove(target)
        partial.replace(target)
    except FileNotFoundError as error:
        raise removed(target.parent) from error
    except OSError as error:
        raise ReidShardsError(
            f"a selection cannot be kept in {target.parent}: {error}: make room, or name another folder in "
            "XDG_CACHE_HOME"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _map(path: Path) -> Int64:
    """Map an array from a file; raise an error if the content does not match the file's name."""
    return np.frombuffer(map_checked(path, lambda data: _digest(data) == path.stem), np.int64)


def _digest(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
