"""Comparison of one shard with the rows that the plan puts into it. It can run in a process of its own."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, NamedTuple

import pyarrow as pa

from pipeline.samples import Sample
from pipeline.shards.reading import read_rows
from pipeline.shards.spool import SPOOL_BYTES
from pipeline.sources.base import Source
from pipeline.sources.converter import Content, Converter, Recipe
from shards_spec.errors import SpecError
from shards_spec.images import ImageError
from shards_spec.rejects import Reject
from shards_spec.sidecar import decode_sidecar
from shards_spec.storage import Store, open_store
from shards_spec.tar import read_tar
from shards_spec.variants import Variant
from shards_spec.verify import Fault, SequentialFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardComparison:
    """Everything that a process must know to compare a shard."""

    file: str
    """Path of the shard, as the plan names it."""
    is_written: bool
    """Whether the set has the shard. A shard whose samples were all rejected is not written."""
    rows: pa.Table
    """The shard's rows of the catalog."""
    rejects: list[Reject]
    """The rejects that the set has for these rows."""
    source: Source
    variant: Variant
    """The kind of the source."""
    recipe: Recipe
    """What the samples of the shard have in common."""
    is_exact: bool
    """Whether the libraries that run here made the set, so that encoding a crop again gives the same bytes."""
    out_url: str
    source_url: str


class _Part(NamedTuple):
    """Where a file of a sample lies in the copy of its shard."""

    offset: int
    size: int


def compare_shard(task: ShardComparison) -> Fault | None:
    """Compare a shard with its rows; return the first difference."""
    try:
        _compare_shard(task, open_store(task.source_url), open_store(task.out_url))
    except (OSError, EOFError, SpecError) as error:
        return Fault(task.file, str(error))
    return None


def _compare_shard(task: ShardComparison, source: Store, out: Store) -> None:
    converter = task.source.load()
    rows = converter.rows(task.rows)
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as copy:
        parts = _copy_shard(out, task.file, copy) if task.is_written else {}
        lost = {(reject.name, reject.person_id) for reject in task.rejects}
        wanted = [
            [key for key, named in converter.lost_as(row).items() if not lost & {(row.name, None), named}]
            for row in rows
        ]
        _compare_keys(set(parts), {key for keys in wanted for key in keys})
        read = (zip(*some, strict=True) for some in read_rows(source, converter, rows))
        for position, contents in chain.from_iterable(read):
            row = rows[position]
            _compare_rejects(converter, row, contents, task)
            if wanted[position]:
                compare = converter.comparison(row, contents, task.recipe, is_exact=task.is_exact)
                for key in wanted[position]:
                    try:
                        compare(_read_sample(key, copy, parts[key], task.variant))
                    except (SpecError, ImageError) as error:
                        raise SpecError(f"{key}: {error}") from error


def _copy_shard(out: Store, file: str, copy: IO[bytes]) -> dict[str, dict[str, _Part]]:
    """Copy a shard's files, whose order differs from that of the rows; return where each lies, by key and extension."""
    parts: dict[str, dict[str, _Part]] = {}
    for member in read_tar(SequentialFile(out, file)):
        key, _, extension = member.name.partition(".")
        parts.setdefault(key, {})[extension] = _Part(copy.tell(), len(member.data))
        copy.write(member.data)
    return parts


def _read_sample(key: str, copy: IO[bytes], parts: dict[str, _Part], variant: Variant) -> Sample:
    files = {extension: _read(copy, part) for extension, part in parts.items()}
    sidecar = decode_sidecar(files.pop("json"), variant)
    return Sample(key, sidecar, tuple(files.values()))


def _compare_keys(found: set[str], wanted: set[str]) -> None:
    if missing := sorted(wanted - found):
        raise SpecError(f"{missing[0]} is neither in the shard nor rejected, though the source has it{_more(missing)}")
    if strange := sorted(found - wanted):
        raise SpecError(f"{strange[0]} is in the shard, but the source does not have it there{_more(strange)}")


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1:,} more)" if len(keys) > 1 else ""


def _compare_rejects(converter: Converter[Any], row: Any, contents: Sequence[Content], task: ShardComparison) -> None:
    """Make a row's samples again if the set says that some were lost. Only the same program loses the same ones."""
    names = {row.name, *(name for name, _ in converter.lost_as(row).values())}
    told = {_lost(reject) for reject in task.rejects if reject.name in names}
    if not told or not task.is_exact:
        return
    outcome = converter.make_samples([row], [contents], task.recipe)
    lost = {_lost(reject) for reject in outcome.rejects}
    if lost != told:
        raise SpecError(f"{row.name}: the rejects have {_reasons(told)} of it, but the source {_reasons(lost)}")


def _lost(reject: Reject) -> tuple[str, str | None, int | str | None]:
    return str(reject.reason), reject.name, reject.person_id


def _reasons(lost: set[tuple[str, str | None, int | str | None]]) -> str:
    spelled = (reason if person is None else f"{reason} ({person})" for reason, _, person in lost)
    return ", ".join(sorted(spelled)) or "none"


def _read(copy: IO[bytes], part: _Part) -> bytes:
    copy.seek(part.offset)
    return copy.read(part.size)
