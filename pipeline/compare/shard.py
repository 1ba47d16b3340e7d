"""Comparison of one shard with the frames that the plan puts into it. It can run in a process of its own."""

import tempfile
from dataclasses import dataclass
from typing import IO, NamedTuple

import pyarrow as pa

from pipeline.archives import EntryFault, read_entries
from pipeline.compare.sample import Recipe, compare_sample
from pipeline.samples.cut import make_samples
from pipeline.samples.frames import Frame, frame_rows
from pipeline.shards.convert import SPOOL_BYTES, entry_request
from shards_spec.errors import SpecError
from shards_spec.images import ImageError, decode_image
from shards_spec.rejects import Reject
from shards_spec.sidecar import IMAGE_EXTENSION, SIDECAR_EXTENSION, decode_sidecar, make_key
from shards_spec.storage import Store, open_store
from shards_spec.tar import read_tar
from shards_spec.verify import Fault, SequentialFile

_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardComparison:
    """Everything that a process must know to compare a shard."""

    file: str
    """Path of the shard, as the plan names it."""
    is_written: bool
    """Whether the set has the shard. A shard whose members were all rejected is not written."""
    frames: pa.Table
    """The shard's rows of the catalog."""
    rejects: list[Reject]
    """The rejects that the set has for these frames."""
    splits: dict[str, list[str]]
    recipe: Recipe
    out_url: str
    source_url: str


class _Part(NamedTuple):
    """Where a file of a sample lies in the copy of its shard."""

    offset: int
    size: int


def compare_shard(task: ShardComparison) -> Fault | None:
    """Compare a shard with its frames; return the first difference."""
    try:
        _compare_shard(task, open_store(task.source_url), open_store(task.out_url))
    except (OSError, EOFError, SpecError) as error:
        return Fault(task.file, str(error))
    return None


def _compare_shard(task: ShardComparison, source: Store, out: Store) -> None:
    frames = frame_rows(task.frames)
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as copy:
        parts = _copy_shard(out, task.file, copy) if task.is_written else {}
        wanted = _wanted_keys(frames, task.rejects)
        _compare_keys({name.partition(".")[0] for name in parts}, {key for keys in wanted.values() for key in keys})
        for row, content in read_entries(source, [entry_request(frame) for frame in frames]):
            frame = frames[row]
            _compare_rejects(frame, content, task)
            if wanted[frame.frame]:
                _compare_samples(frame, content, wanted[frame.frame], copy, parts, task.recipe)


def _copy_shard(out: Store, file: str, copy: IO[bytes]) -> dict[str, _Part]:
    """Copy a shard's files, whose order differs from that of the frames; return where each lies in the copy."""
    parts = {}
    for member in read_tar(SequentialFile(out, file)):
        parts[member.name] = _Part(copy.tell(), len(member.data))
        copy.write(member.data)
    return parts


def _wanted_keys(frames: list[Frame], rejects: list[Reject]) -> dict[str, dict[str, int]]:
    """Return the keys that each frame must have in the shard, with the person's position among the frame's members."""
    lost = {(reject.name, reject.person_id) for reject in rejects}
    return {
        frame.frame: {
            make_key(frame.frame, person_id): place
            for place, person_id in enumerate(frame.person_ids)
            if not lost & {(frame.frame, None), (frame.frame, person_id)}
        }
        for frame in frames
    }


def _compare_keys(found: set[str], wanted: set[str]) -> None:
    if missing := sorted(wanted - found):
        raise SpecError(f"{missing[0]} is neither in the shard nor rejected, though the source has it{_more(missing)}")
    if strange := sorted(found - wanted):
        raise SpecError(f"{strange[0]} is in the shard, but the source does not have it there{_more(strange)}")


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1:,} more)" if len(keys) > 1 else ""


def _compare_rejects(frame: Frame, content: bytes | EntryFault, task: ShardComparison) -> None:
    """Make a frame's samples again if the set says that some were lost. Only the same program loses the same ones."""
    told = {(str(reject.reason), reject.person_id) for reject in task.rejects if reject.name == frame.frame}
    if not told or not task.recipe.is_exact:
        return
    (outcome,) = make_samples(
        [(frame, content)],
        splits=task.splits,
        identity_is_global=task.recipe.identity_is_global,
        options=task.recipe.options,
    )
    lost = {(str(reject.reason), reject.person_id) for reject in outcome.rejects}
    if lost != told:
        raise SpecError(
            f"frame {frame.frame}: the rejects have {_reasons(told)} of it, but the source {_reasons(lost)}"
        )


def _reasons(lost: set[tuple[str, int | str | None]]) -> str:
    return ", ".join(sorted(reason if person is None else f"{reason} ({person})" for reason, person in lost)) or "none"


def _compare_samples(
    frame: Frame,
    content: bytes | EntryFault,
    keys: dict[str, int],
    copy: IO[bytes],
    parts: dict[str, _Part],
    recipe: Recipe,
) -> None:
    if isinstance(content, EntryFault):
        raise SpecError(f"{frame.where}, which it was made from: {content.detail}")
    try:
        decoded = decode_image(content)
    except ImageError:
        # A frame is read only down to its lowest box, so it may be truncated below it. An end marker makes libjpeg fill
        # in what is missing.
        try:
            decoded = decode_image(content + _END_OF_IMAGE)
        except ImageError as error:
            raise SpecError(f"{frame.where}, which it was made from, cannot be decoded: {error}") from error
    for key, person in keys.items():
        try:
            sidecar = decode_sidecar(_read(copy, parts[key + SIDECAR_EXTENSION]))
            image = decode_image(_read(copy, parts[key + IMAGE_EXTENSION]))
            compare_sample(frame, person, sidecar, image, decoded, recipe)
        except (SpecError, ImageError) as error:
            raise SpecError(f"{key}: {error}") from error


def _read(copy: IO[bytes], part: _Part) -> bytes:
    copy.seek(part.offset)
    return copy.read(part.size)
