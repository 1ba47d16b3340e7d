"""Comparisons of samples with the files that they were made from, which kinds of sources share."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.archives import EntryFault
from pipeline.samples.sample import Sample
from shards_spec.errors import SpecError


def compare_fields(sidecar: Any, wanted: Mapping[str, Any]) -> None:
    """Compare fields of a sidecar with what the source says.

    Raises:
        SpecError: A field differs; the message names the first.
    """
    for name, value in wanted.items():
        said = getattr(sidecar, name)
        if said != value:
            raise SpecError(f"its sidecar says {name} {_shown(said)}, but the source {_shown(value)}")


def compare_copy(sample: Sample, wanted: Mapping[str, Any], where: str, contents: Sequence[bytes | EntryFault]) -> None:
    """Compare a sample with the entries that it was taken over from.

    Args:
        sample: The sample, with a file for each entry.
        wanted: What the sidecar must say, by field.
        where: Where the entries lie, for messages.
        contents: The contents of the entries, or the reasons why they could not be read.

    Raises:
        SpecError: Something differs; the message says what.
    """
    compare_fields(sample.sidecar, wanted)
    if len(sample.files) != len(contents):
        raise SpecError(f"it has {len(sample.files)} files, but the source {len(contents)}")
    for number, (file, content) in enumerate(zip(sample.files, contents, strict=True), 1):
        if isinstance(content, EntryFault):
            raise SpecError(f"{where}, which it was made from: {content.detail}")
        if file != content:
            raise SpecError(f"the bytes of its file {number} are not those of the source")


def _shown(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
