"""Which samples a stream hands out: a protocol's split, and those of it for which an expression holds."""

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.manifest import Manifest
from shards_spec.stream.checked_files import DamagedError, map_checked
from shards_spec.stream.cleanup import SELECTION_SUFFIX, hold, sweep
from shards_spec.stream.index_cache import DamagedIndexError, SetIndex, remove, removed
from shards_spec.stream.integers import whole_number
from shards_spec.stream.order import Int64

if TYPE_CHECKING:
    import pyarrow.compute as pc

Unit = Literal["sample", "frame"]

_SHARED_LABELS = {"query": ("gallery", "query"), "gallery": ("gallery", "query")}
"""Splits whose labels have one numbering: a query's identity is looked for in the gallery."""


def protocol_name(protocol: int | str) -> str:
    """``1`` and ``"p1"`` name the same.

    Raises:
        UsageError: It is neither a whole number nor a name.
    """
    return protocol if isinstance(protocol, str) else f"p{whole_number('protocol', protocol)}"


def split_cells(manifest: Manifest, protocol: int | str, split: str) -> list[str]:
    """The cells whose union a split is, in the manifest's order.

    Raises:
        UsageError: There is no such protocol or split.
    """
    splits = manifest.protocols.get(protocol_name(protocol))
    if splits is None:
        raise UsageError(f"protocol {protocol!r}: the set has {', '.join(sorted(manifest.protocols)) or 'none'}")
    if split not in splits:
        raise UsageError(f"split {split!r}: protocol {protocol_name(protocol)} has {', '.join(sorted(splits))}")
    return [cell for cell in manifest.cells if cell in splits[split]]


def label_identities(index: SetIndex, protocol: int | str, split: str) -> tuple[list[str], npt.NDArray[np.int32]]:
    """The identities that labels number, sorted, and the label of each of the set's identities (-1: none)."""
    splits = index.manifest.protocols[protocol_name(protocol)]
    numbered = [name for name in _SHARED_LABELS.get(split, (split,)) if name in splits]
    codes = sorted({code for name in numbered for cell in splits[name] for code in index.cell_identities(cell)})
    names = index.identities()
    codes.sort(key=lambda code: names[code])
    labels = np.full(len(names), -1, np.int32)
    labels[codes] = np.arange(len(codes))
    return [names[code] for code in codes], labels


class Selection:
    """Rows of the index, in the set's order, and the units that they make up. Its arrays are mapped, not held.

    Raises:
        ReidShardsError: Its files were removed meanwhile; also where it is pickled, as for ``SetIndex``.
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
    def make(cls, index: SetIndex, cells: Sequence[str], where: "pc.Expression | None", unit: Unit) -> "Selection":
        """Evaluate a selection; its arrays go to files beside the index, named by their digest.

        Args:
            index: Of the set.
            cells: To take.
            where: Of the index's columns; None for all rows.
            unit: Whether what is handed out is a sample or a whole frame.

        Raises:
            UsageError: The expression does not fit the columns.
            ReidShardsError: The index was removed meanwhile, or the files cannot be written.
        """
        rows = np.concatenate([np.empty(0, np.int64), *(_cell_rows(index, cell, where) for cell in cells)])
        starts = None
        if unit == "frame":
            shards = np.searchsorted(index.shard_starts, rows, side="right")
            frames = index.rows["frame_index"][rows]
            new = np.ones(len(rows), np.bool_)
            new[1:] = (shards[1:] != shards[:-1]) | (frames[1:] != frames[:-1])
            starts = _kept(index.folder, np.append(np.flatnonzero(new), len(rows)))
        return cls(index, _kept(index.folder, rows), starts)

    def shard_units(self) -> Int64:
        """``[shards of the set]``: the units of each."""
        firsts = self.rows if self._unit_starts is None else self.rows[self._unit_starts[:-1]]
        return np.diff(np.searchsorted(firsts, self.index.shard_starts)).astype(np.int64)

    def unit_bytes(self) -> float:
        """Mean bytes of a unit, as far as the manifest tells."""
        totals = self.index.manifest.totals
        units = len(self.rows) if self._unit_starts is None else len(self._unit_starts) - 1
        return totals.bytes / max(totals.samples, 1) * len(self.rows) / max(units, 1)

    def member_bytes(self) -> int:
        """Bytes of all images and sidecars."""
        step = 2**20  # rows at a time: a selection may be millions
        parts = (self.index.rows.take(self.rows[start : start + step]) for start in range(0, len(self.rows), step))
        return sum(int(part["jpg_size"].sum(dtype=np.int64) + part["json_size"].sum(dtype=np.int64)) for part in parts)

    def unit_rows(self, units: Int64) -> tuple[Int64, Int64]:
        """The rows of units, one after the other, and how many each has."""
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
    # Not at import time: PyArrow imports pandas for it.
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
        told = str(error).partition("\n")[0]  # the rest of it lists all columns
        raise UsageError(f"where={where}: {told}: it must be true or false for a row of the index") from error
    mask = np.concatenate(hits)
    if mask.dtype != np.bool_:
        raise UsageError(f"where={where}: it must be true or false for a row of the index, not {mask.dtype}")
    return np.flatnonzero(mask) + rows.start


def _kept(folder: Path, array: Int64) -> Path:
    """The file beside the index that holds an array, written if it is not there."""
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
            os.fsync(file.fileno())  # or a power cut leaves the name without the bytes
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
    """A kept array, mapped; raises where it is not what its name says."""
    return np.frombuffer(map_checked(path, lambda data: _digest(data) == path.stem), np.int64)


def _digest(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
