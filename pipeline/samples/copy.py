"""The body of sources whose files are taken over as they are. These are pure functions: they open no file."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from pipeline.archives import EntryFault
from pipeline.crop.whole import ImageFault, WholeImage, take_over
from pipeline.samples.sample import Outcome, Sample
from shards_spec.rejects import Note, Reject


class Copied(Protocol):
    """A row of which one sample is made, with a file of each of its entries."""

    @property
    def name(self) -> str:
        """The row's name, as rejects have it."""

    @property
    def where(self) -> str:
        """Where the row lies, in the form that rejects use."""


CopiedRow = TypeVar("CopiedRow", bound=Copied)


def copy_samples(
    rows: Sequence[tuple[CopiedRow, Sequence[bytes | EntryFault]]],
    describe: Callable[[CopiedRow, tuple[bytes, ...]], Sample],
) -> Iterator[Outcome]:
    """Take over the contents of entries.

    Args:
        rows: The rows, each with the contents of its entries or the reasons why they could not be read.
        describe: A function that makes the sample of a row and its contents.

    Yields:
        What became of each row, in order. A row of which any entry could not be read is lost.
    """
    for row, contents in rows:
        files = tuple(content for content in contents if not isinstance(content, EntryFault))
        if len(files) == len(contents):
            yield Outcome([describe(row, files)])
        else:
            fault = next(content for content in contents if isinstance(content, EntryFault))
            yield Outcome(rejects=[Reject(fault.reason, row.where, row.name, None, 1, fault.detail)])


def copy_images(
    rows: Sequence[tuple[CopiedRow, bytes | EntryFault]], describe: Callable[[CopiedRow, WholeImage], Sample]
) -> Iterator[Outcome]:
    """Check images and take them over: JPEGs byte for byte, others encoded anew.

    Args:
        rows: The rows, each with its image or the reason why it could not be read.
        describe: A function that makes the sample of a row and its image.

    Yields:
        What became of each row, in order.
    """
    images = iter(take_over([content for _, content in rows if not isinstance(content, EntryFault)]))
    for row, content in rows:
        image = ImageFault(content.reason, content.detail) if isinstance(content, EntryFault) else next(images)
        if isinstance(image, ImageFault):
            yield Outcome(rejects=[Reject(image.reason, row.where, row.name, None, 1, image.detail)])
        elif image.encoding == "reencoded":
            yield Outcome([describe(row, image)], notes=[(Note.IMAGE_REENCODED, row.where)])
        elif image.orientation != 1:
            yield Outcome([describe(row, image)], notes=[(Note.IMAGE_ORIENTED, row.where)])
        else:
            yield Outcome([describe(row, image)])
