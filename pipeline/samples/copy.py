"""The body of sources whose files are taken over as they are. These are pure functions: they open no file."""

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, Protocol, TypeVar

from pipeline.archives import EntryFault
from pipeline.crop.whole import ImageFault, WholeImage, take_over
from pipeline.samples.sample import Outcome
from shards_spec.rejects import Note, Reject


class Copied(Protocol):
    """A row of which one sample is made, with a file of each of its entries."""

    @property
    def name(self) -> str:
        """The row's name, as rejects have it."""

    @property
    def where(self) -> str:
        """Where the row lies, in the form that rejects use."""

    @property
    def key(self) -> str:
        """The key of the sample."""


CopiedRow = TypeVar("CopiedRow", bound=Copied)


def copy_samples(
    rows: Sequence[CopiedRow],
    contents: Sequence[Sequence[bytes | EntryFault]],
    describe: Callable[[CopiedRow, tuple[bytes, ...]], Any],
) -> Outcome:
    """Take over the contents of entries. A row of which any entry could not be read is lost.

    Args:
        rows: The rows.
        contents: For each row the contents of its entries, or the reasons why they could not be read.
        describe: A function that makes the sidecar of a row and its contents.
    """
    outcome = Outcome()
    for position, (row, own) in enumerate(zip(rows, contents, strict=True)):
        files = tuple(content for content in own if not isinstance(content, EntryFault))
        if len(files) == len(own):
            outcome.add(position, row.key, describe(row, files), files)
        else:
            fault = next(content for content in own if isinstance(content, EntryFault))
            outcome.rejects.append(_lose(row, fault))
    return outcome


def copy_images(
    rows: Sequence[CopiedRow],
    contents: Sequence[Sequence[bytes | EntryFault]],
    describe: Callable[[CopiedRow, WholeImage], Any],
) -> Outcome:
    """Check images and take them over: JPEGs byte for byte, others encoded anew.

    Args:
        rows: The rows.
        contents: For each row its image, or the reason why it could not be read.
        describe: A function that makes the sidecar of a row and its image.
    """
    # A list for each column takes half the time of a loop over the rows, and most batches lose none.
    readable = [content for (content,) in contents if isinstance(content, bytes)]
    results: Sequence[WholeImage | ImageFault | EntryFault] = take_over(readable)
    if len(readable) < len(rows):
        taken = iter(results)
        results = [next(taken) if isinstance(content, bytes) else content for (content,) in contents]
    images = [result for result in results if isinstance(result, WholeImage)]
    outcome = Outcome(list(range(len(rows))))
    if len(images) < len(rows):
        is_kept = [isinstance(result, WholeImage) for result in results]
        outcome.rejects = [
            _lose(row, result) for row, result in zip(rows, results, strict=True) if not isinstance(result, WholeImage)
        ]
        outcome.rows = list(compress(outcome.rows, is_kept))
        rows = list(compress(rows, is_kept))
    outcome.keys = [row.key for row in rows]
    outcome.sidecars = [*map(describe, rows, images)]
    outcome.files = [(image.jpeg,) for image in images]
    outcome.notes = [
        (Note.IMAGE_REENCODED if image.encoding == "reencoded" else Note.IMAGE_ORIENTED, row.where)
        for row, image in zip(rows, images, strict=True)
        if image.orientation != 1 or image.encoding == "reencoded"
    ]
    return outcome


def _lose(row: Copied, fault: EntryFault | ImageFault) -> Reject:
    return Reject(fault.reason, row.where, row.name, None, 1, fault.detail)
